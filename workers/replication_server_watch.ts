/**
 * Looking after replication servers: one that has stopped is started again, one that has vanished or whose certificate is past is made
 * anew under its name, one that is being removed is removed to the end. Source servers are told once what is wrong and once when it is
 * over.
 * @module
 */
import type { ReplicationServer } from '../domain/enrolment.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Bench } from './bench.ts'
import { dropConsistencyPoint } from '../domain/consistency_point.ts'
import { errorMessage } from '../domain/errors.ts'
import { withEvent } from '../domain/source_server.ts'
import { mutate } from '../store/mutate.ts'
import { changeServer, now } from './bench.ts'
import { removeIfUnused, removeTokens } from './cleanup/replication_servers.ts'
import { listAll } from '../store/listing.ts'
import { replicationServerLostMs, replicationServerSilenceMs } from './silence.ts'
import { raiseReplicationServer } from './staging/replication_server.ts'

/** Reasons change in small things, as pids do: no more than these are told. */
const maxTroubles = 10

/** Looks at every replication server once. @param servers all source servers, as listed a moment ago */
export async function watchReplicationServers(bench: Bench, servers: readonly SourceServer[]): Promise<void> {
  for (const record of await listAll(bench.store, 'replicationServer')) {
    const id = record.replicationServerId
    const users = servers.filter(({ replication }) => replication.replicationServerId === id)
    try {
      if (record.state === 'REMOVED') await removeIfUnused(bench, id)
      else if (silenceMs(bench, record) < replicationServerSilenceMs) await tellRecovery(bench, record, users)
      // Whoever is raising it looks after it.
      else if (!users.some(({ activeTask }) => activeTask?.kind === 'STAGING'))
        await revive(bench, record, users)
    } catch (error) {
      const reason = errorMessage(error)
      bench.log.error(
        { replicationServerId: id, err: error },
        `Cannot look after replication server ${id}: ${reason}`,
      )
      await tell(bench, record, users, reason, `${reason}. Rehost tries again`)
    }
  }
}

/** How long nothing was heard of it, and nothing was done for it. */
function silenceMs(bench: Bench, { lastSeenAt, createdAt, raisedAt }: ReplicationServer): number {
  const moments = [createdAt, lastSeenAt, raisedAt].flatMap((at) =>
    at === undefined ? [] : [Date.parse(at)],
  )
  return bench.clock().getTime() - Math.max(...moments)
}

async function revive(bench: Bench, record: ReplicationServer, users: SourceServer[]): Promise<void> {
  const id = record.replicationServerId
  const seen = await bench.cloud.describeReplicationServer(id)
  const isThere = seen !== undefined && seen.state !== 'GONE'
  if (isThere && hasExpired(bench, record)) {
    await tell(
      bench,
      record,
      users,
      'EXPIRED',
      `The certificate of replication server ${id} was valid until ${record.certificateNotAfter} and was not renewed in time: it is made anew`,
    )
    await bench.cloud.removeReplicationServer(id)
    await makeAnew(bench, record, users)
  } else if (!isThere) {
    if (users.length === 0) return removeIfUnused(bench, id)
    await tell(
      bench,
      record,
      users,
      'VANISHED',
      `Replication server ${id} has vanished from the ${bench.cloud.name} cloud and is made anew; its volumes are attached to it again`,
    )
    await makeAnew(bench, record, users)
  } else if (seen.state === 'STOPPED') {
    const why = seen.stateReason ?? 'no reason known'
    await tell(
      bench,
      record,
      users,
      'STOPPED',
      `Replication server ${id} has stopped (${why}) and is started again`,
    )
    await bench.cloud.restartReplicationServer(id)
    await noteRaised(bench, record)
  } else if (silenceMs(bench, record) >= replicationServerLostMs) {
    // A restart would not mend its way to the gateway, and would cost what it holds in memory.
    await tell(
      bench,
      record,
      users,
      'SILENT',
      `Replication server ${id} runs and has not reported since ${record.lastSeenAt ?? record.createdAt}: see its log, and whether it reaches this service on the agent port`,
    )
  }
}

/** Whether it can't come back by itself: its certificate is what it would renew its certificate with. */
function hasExpired(bench: Bench, { certificateNotAfter }: ReplicationServer): boolean {
  return certificateNotAfter !== undefined && Date.parse(certificateNotAfter) <= bench.clock().getTime()
}

/** What it held back for a snapshot it holds no longer, so that nothing may be taken of it. */
async function makeAnew(bench: Bench, record: ReplicationServer, users: SourceServer[]): Promise<void> {
  const id = record.replicationServerId
  for (const { sourceServerId } of users) {
    await changeServer(bench, sourceServerId, (current) =>
      dropConsistencyPoint(current, `replication server ${id} was lost`, now(bench)),
    )
  }
  await removeTokens(bench, id)
  await raiseReplicationServer(bench, id)
  await noteRaised(bench, record)
}

async function noteRaised(bench: Bench, { replicationServerId: id }: ReplicationServer): Promise<void> {
  await mutate(bench.store, 'replicationServer', { id }, (current) => ({ ...current, raisedAt: now(bench) }))
}

/** Tells what is wrong, unless this `trouble` was told since all was well last. */
async function tell(
  bench: Bench,
  { replicationServerId: id }: ReplicationServer,
  users: SourceServer[],
  trouble: string,
  message: string,
): Promise<void> {
  let isNews = false
  await mutate(bench.store, 'replicationServer', { id }, (current) => {
    const told = current.troubles ?? []
    isNews = !told.includes(trouble) && told.length < maxTroubles
    if (!isNews) return undefined
    const state = current.state === 'READY' ? 'LOST' : current.state
    return { ...current, state, troubles: [...told, trouble] }
  })
  if (!isNews) return
  bench.log.warn({ replicationServerId: id }, message)
  await tellUsers(bench, users, 'WARNING', message)
}

async function tellRecovery(bench: Bench, record: ReplicationServer, users: SourceServer[]): Promise<void> {
  const id = record.replicationServerId
  if (record.troubles === undefined || record.state !== 'READY') return
  await removeTokens(bench, id)
  await mutate(bench.store, 'replicationServer', { id }, ({ troubles: _over, ...current }) => current)
  await tellUsers(bench, users, 'INFO', `Replication server ${id} reports again`)
}

async function tellUsers(
  bench: Bench,
  users: SourceServer[],
  level: 'INFO' | 'WARNING',
  message: string,
): Promise<void> {
  for (const { sourceServerId } of users) {
    await changeServer(bench, sourceServerId, (current) =>
      withEvent(current, now(bench), { type: 'REPLICATOR', level, message }),
    )
  }
}
