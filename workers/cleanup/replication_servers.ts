/**
 * Removing replication servers that no source server uses.
 *
 * Staging areas are raised at the same time, so both sides write before they look: whoever removes marks the record REMOVED and looks for
 * users again; whoever chooses writes its choice into the source server and looks at the record again. At least one of them sees the other.
 * @module
 */
import type { ReplicationServer } from '../../domain/enrolment.ts'
import type { ReplicationServerId, SourceServerId } from '../../domain/ids.ts'
import type { Bench } from '../bench.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { mutate } from '../../store/mutate.ts'
import { listAll } from '../../store/listing.ts'

async function isUsed(
  bench: Bench,
  id: ReplicationServerId,
  except: SourceServerId | undefined,
): Promise<boolean> {
  const servers = await listAll(bench.store, 'server')
  return servers.some(
    (server) => server.replication.replicationServerId === id && server.sourceServerId !== except,
  )
}

/** Marks the record; a record that is gone already needs no mark. */
async function mark(bench: Bench, id: ReplicationServerId, state: ReplicationServer['state']): Promise<void> {
  try {
    await mutate(bench.store, 'replicationServer', { id }, (record) =>
      record.state === state ? undefined : { ...record, state },
    )
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
  }
}

/** Removes the tokens made for a replication server that it has not used. */
export async function removeTokens(bench: Bench, id: ReplicationServerId): Promise<void> {
  for (const token of await listAll(bench.store, 'token')) {
    if (token.replicationServerId === id) await bench.store.remove('token', { id: token.tokenId })
  }
}

/** Removes the replication server unless a source server other than `except` uses it. May run again after a crash in its middle. */
export async function removeIfUnused(
  bench: Bench,
  id: ReplicationServerId,
  except?: SourceServerId,
): Promise<void> {
  if (await isUsed(bench, id, except)) return
  await mark(bench, id, 'REMOVED')
  if (await isUsed(bench, id, except)) {
    // Somebody chose it in between. Its next heartbeat makes it READY.
    await mark(bench, id, 'LAUNCHING')
    return
  }
  await bench.cloud.removeReplicationServer(id)
  await removeTokens(bench, id)
  await bench.store.remove('replicationServer', { id })
}
