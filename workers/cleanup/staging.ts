/**
 * Steps: the staging area goes. First the volumes are taken from the server's record, so that the replication server is told to close
 * them; they are deleted when it has been heard since.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { withoutReplicationError } from '../../domain/replication_error.ts'
import { changeServer, now } from '../bench.ts'
import { sweep } from '../sweep.ts'
import { terminateLaunched } from './machine.ts'
import { removeIfUnused } from './replication_servers.ts'

/** A replication server that is not heard within this time holds nothing open any more, or is being restarted and will hold nothing. */
const heartbeatTimeoutMs = 30_000
const lookAgainMs = 250

/** The disks as MGN shows them after a cutover: known, with nothing of them left. */
function withoutVolumes(found: SourceServer, at: string): SourceServer {
  const server = withoutReplicationError(found, 'The staging area goes', at)
  const disks = server.disks.map(({ volumeId: _volume, devicePath: _path, ...disk }) => ({
    ...disk,
    replicatedBytes: 0,
    rescannedBytes: 0,
    backlogBytes: 0,
  }))
  const { lastConsistentAt: _past, ...replication } = server.replication
  const { consistencyRequest: point, ...rest } = server
  // A point that is taken holds nothing any more, and proves what the cutover machine was made of.
  return { ...rest, disks, replication, ...(point?.state === 'TAKEN' ? { consistencyRequest: point } : {}) }
}

async function release({ bench, server }: StepContext): Promise<StepResult> {
  await changeServer(bench, server.sourceServerId, (found) => withoutVolumes(found, now(bench)))
  return { done: null }
}

/** `release-staging`: nobody is told of the volumes any more. */
export const releaseStaging: Step = { name: 'release-staging', run: release }

/** Whether the replication server has been told since this step began, or can't be waited for. */
async function hasLetGo({ bench, server, step }: StepContext): Promise<boolean> {
  const id = server.replication.replicationServerId
  const record = id === undefined ? undefined : await bench.store.get('replicationServer', { id })
  if (record === undefined || record.value.state === 'REMOVED') return true
  const begunMs = Date.parse(step.startedAt ?? bench.clock().toISOString())
  const heardMs = Date.parse(record.value.lastSeenAt ?? record.value.createdAt)
  if (heardMs > begunMs) return true
  if (bench.clock().getTime() - begunMs < heartbeatTimeoutMs) return false
  bench.log.warn(
    { replicationServerId: id },
    `Replication server ${id} was not heard for ${heartbeatTimeoutMs / 1000} s; its volumes are removed all the same`,
  )
  return true
}

async function remove(context: StepContext): Promise<StepResult> {
  const { bench, server, task } = context
  if (!(await hasLetGo(context))) return { waitMs: lookAgainMs }
  const machine = server.launchedInstance
  // With the records of its server a test machine goes too, as nobody would find it any more; the one that has taken the source's place
  // never does.
  if (task.kind === 'DELETE' && machine?.purpose === 'TEST') await terminateLaunched(bench, server)
  await sweep(bench.cloud, server.sourceServerId, ({ id }) => id !== machine?.machineId)
  const id = server.replication.replicationServerId
  if (id !== undefined) {
    await removeIfUnused(bench, id, server.sourceServerId)
    // Last, since it is what names the replication server when this step runs again.
    await changeServer(bench, server.sourceServerId, (current) => {
      const { replicationServerId: _gone, ...replication } = current.replication
      return { ...current, replication }
    })
  }
  return { done: null }
}

/** `remove-staging`: snapshots, images, volumes, and the replication server when nobody needs it. */
export const removeStaging: Step = { name: 'remove-staging', run: remove }
