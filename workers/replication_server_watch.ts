/**
 * Looking after replication servers: those that have died are started again, those being removed are removed to the end.
 * @module
 */
import type { ReplicationServer } from '../domain/enrolment.ts'
import type { Bench } from './bench.ts'
import { errorMessage } from '../domain/errors.ts'
import { withEvent } from '../domain/source_server.ts'
import { mutate } from '../store/mutate.ts'
import { changeServer, now } from './bench.ts'
import { removeIfUnused } from './cleanup/replication_servers.ts'
import { listAll } from './listing.ts'
import { replicationServerSilenceMs } from './silence.ts'

/** Looks at every replication server once. */
export async function watchReplicationServers(bench: Bench): Promise<void> {
  for (const record of await listAll(bench.store, 'replicationServer')) {
    const id = record.replicationServerId
    try {
      if (record.state === 'REMOVED') await removeIfUnused(bench, id)
      else if (isSilent(bench, record)) await revive(bench, record)
    } catch (error) {
      bench.log.error(
        { replicationServerId: id, err: error },
        `Cannot look after replication server ${id}: ${errorMessage(error)}`,
      )
    }
  }
}

function isSilent(bench: Bench, { lastSeenAt, createdAt }: ReplicationServer): boolean {
  return bench.clock().getTime() - Date.parse(lastSeenAt ?? createdAt) >= replicationServerSilenceMs
}

/** Starts it again if it has stopped. One that runs and is silent has lost its way to the gateway, which a restart would not mend. */
async function revive(bench: Bench, record: ReplicationServer): Promise<void> {
  const id = record.replicationServerId
  const seen = await bench.cloud.describeReplicationServer(id)
  if (seen?.state !== 'STOPPED') return
  if (record.state === 'READY') {
    await mutate(bench.store, 'replicationServer', { id }, (current) =>
      current.state === 'READY' && isSilent(bench, current) ? { ...current, state: 'LOST' } : undefined,
    )
    await tellServers(bench, record, seen.stateReason ?? 'no reason known')
  }
  await bench.cloud.restartReplicationServer(id)
}

async function tellServers(
  bench: Bench,
  { replicationServerId: id }: ReplicationServer,
  reason: string,
): Promise<void> {
  const message = `Replication server ${id} has stopped (${reason}) and is started again`
  bench.log.warn({ replicationServerId: id }, message)
  for (const server of await listAll(bench.store, 'server')) {
    if (server.replication.replicationServerId !== id) continue
    await changeServer(bench, server.sourceServerId, (current) =>
      withEvent(current, now(bench), { type: 'REPLICATOR', level: 'WARNING', message }),
    )
  }
}
