/**
 * Step: snapshot every volume while the replicator holds later writes back, then let it go on.
 * @module
 */
import { sourceServerTag } from '../../cloud/provider.ts'
import type { ConsistencyPointId } from '../../domain/ids.ts'
import type { ConsistencyRequest, SnapshotOfDisk, SourceServer } from '../../domain/source_server.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { expireConsistencyPoint } from '../../domain/consistency_point.ts'
import { PermanentError } from '../../domain/errors.ts'
import { lostVolumeInWords } from '../../domain/staging.ts'
import { changeServer, now } from '../bench.ts'
import { taskTag } from '../step.ts'
import { sweep, sweepTask } from '../sweep.ts'
import { findLostVolumes } from '../volume_watch.ts'

/** How long the point is held for each snapshot. A cloud that copies needs it: a terabyte at 200 MB/s takes an hour and a half. */
const lifetimeMs = { instant: 600_000, copied: 7_200_000 } as const

/** On every snapshot: the point it is of. */
const pointTag = 'rehost:consistency-point'

/** The point `id`, held or taken; undefined when it was let go, so that no snapshot of it may be used. */
function pointOf(server: SourceServer, id: ConsistencyPointId): ConsistencyRequest | undefined {
  const request = server.consistencyRequest
  const isGood = request?.state === 'REACHED' || request?.state === 'TAKEN'
  return isGood && request.consistencyPointId === id ? request : undefined
}

/** @throws PermanentError naming the disk whose copy is lost. The volume watch replaces it once this launch is taken back. */
async function requireVolumes({ bench, server }: StepContext): Promise<void> {
  const [lost] = await findLostVolumes(bench, server)
  const disk = server.disks.find(({ volumeId }) => volumeId === lost?.volumeId)
  if (lost === undefined || disk === undefined) return
  throw new PermanentError(
    `${lostVolumeInWords(disk, lost)}. Rehost copies the disk again; launch again when that is done`,
  )
}

/** The point with its hold as long as one more snapshot needs it. */
async function keepHeld(
  { bench, server }: StepContext,
  id: ConsistencyPointId,
): Promise<ConsistencyRequest | undefined> {
  const at = now(bench)
  const lifetime = bench.cloud.capabilities.instantSnapshots ? lifetimeMs.instant : lifetimeMs.copied
  const expiresAt = new Date(Date.parse(at) + lifetime).toISOString()
  const held = await changeServer(bench, server.sourceServerId, (current) => {
    const fresh = expireConsistencyPoint(current, at)
    const point = pointOf(fresh, id)
    return point?.state === 'REACHED' ? { ...fresh, consistencyRequest: { ...point, expiresAt } } : fresh
  })
  return pointOf(held, id)
}

/** Says that the point's snapshots exist, which lets the replicator go on. */
async function markTaken(
  { bench, server }: StepContext,
  id: ConsistencyPointId,
  snapshots: SnapshotOfDisk[],
): Promise<ConsistencyRequest | undefined> {
  const marked = await changeServer(bench, server.sourceServerId, (current) => {
    const point = pointOf(current, id)
    // TAKEN already: by a worker that had this task before, or by this very write, whose answer was lost.
    if (point?.state !== 'REACHED') return undefined
    return {
      ...current,
      consistencyRequest: { ...point, state: 'TAKEN', snapshots },
      replication: { ...current.replication, lastSnapshotAt: now(bench) },
    }
  })
  return pointOf(marked, id)
}

/**
 * The snapshots of the point, as they were when it became TAKEN; undefined when it was let go before. Of a point that is TAKEN none is ever
 * made: its volumes are being written to.
 */
async function takeAll(context: StepContext, id: ConsistencyPointId): Promise<SnapshotOfDisk[] | undefined> {
  const { bench, server, task, signal } = context
  if (pointOf(server, id)?.state === 'REACHED') await requireVolumes(context)
  const snapshots: SnapshotOfDisk[] = []
  for (const { diskIndex, volumeId, isBootDisk, deviceName } of server.disks) {
    if (volumeId === undefined)
      throw new PermanentError(`Disk ${deviceName} of ${server.sourceServerId} has no staging volume`)
    // Copies take long: whoever has lost the task meanwhile leaves the rest to the next worker.
    signal.throwIfAborted()
    const point = await keepHeld(context, id)
    if (point?.state !== 'REACHED') return point?.snapshots
    const snapshotId = await bench.cloud.createSnapshot({
      clientToken: `${task.taskId}/${id}/${diskIndex}`,
      volumeId,
      tags: { [sourceServerTag]: server.sourceServerId, [taskTag]: task.taskId, [pointTag]: id },
    })
    snapshots.push({ snapshotId, diskIndex, isBootDisk })
  }
  signal.throwIfAborted()
  return (await markTaken(context, id, snapshots))?.snapshots
}

/** Snapshots of a point that was let go are of no moment at all: they go, and another point is asked for. */
async function again(context: StepContext, id: ConsistencyPointId): Promise<StepResult> {
  const { bench, server, signal } = context
  signal.throwIfAborted()
  await sweep(
    bench.cloud,
    server.sourceServerId,
    ({ kind, tags }) => kind === 'snapshot' && tags[pointTag] === id,
  )
  return {
    redoFrom: 'request-consistency-point',
    because: `${id} was let go before its snapshots were taken`,
  }
}

async function run(context: StepContext): Promise<StepResult> {
  const { consistencyPointId: id } = context.output('request-consistency-point') as {
    consistencyPointId: ConsistencyPointId
  }
  const snapshots = await takeAll(context, id)
  if (snapshots === undefined) return again(context, id)
  await context.logJob('SNAPSHOT_END', `Snapshots of consistency point ${id} taken`)
  return { done: snapshots.map((snapshot) => ({ ...snapshot })) }
}

/** `create-snapshots`. */
export const createSnapshots: Step = {
  name: 'create-snapshots',
  run,
  undo: (context) => sweepTask(context, 'snapshot'),
}
