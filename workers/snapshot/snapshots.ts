/**
 * Step: snapshot every volume while the replicator holds later writes back, then let it go on.
 * @module
 */
import { sourceServerTag } from '../../cloud/provider.ts'
import type { ConsistencyPointId, SnapshotId } from '../../domain/ids.ts'
import type { ConsistencyRequest, SourceServer } from '../../domain/source_server.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { expireConsistencyPoint } from '../../domain/consistency_point.ts'
import { PermanentError } from '../../domain/errors.ts'
import { lostVolumeInWords } from '../../domain/staging.ts'
import { changeServer, now } from '../bench.ts'
import { taskTag } from '../step.ts'
import { sweepTask } from '../sweep.ts'
import { findLostVolumes } from '../volume_watch.ts'

/** How long the point is held for each snapshot. A cloud that copies needs it: a terabyte at 200 MB/s takes an hour and a half. */
const lifetimeMs = { instant: 600_000, copied: 7_200_000 } as const

/** A snapshot and the disk it is of. */
export interface SnapshotOfDisk {
  snapshotId: SnapshotId
  diskIndex: number
  isBootDisk: boolean
}

function heldRequest(server: SourceServer, id: ConsistencyPointId): ConsistencyRequest | undefined {
  const request = server.consistencyRequest
  return request?.consistencyPointId === id && request.state === 'REACHED' ? request : undefined
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

/** The hold as it must last for one more snapshot; false when the point was let go. */
async function keepHeld({ bench, server }: StepContext, id: ConsistencyPointId): Promise<boolean> {
  const at = now(bench)
  const lifetime = bench.cloud.capabilities.instantSnapshots ? lifetimeMs.instant : lifetimeMs.copied
  const expiresAt = new Date(Date.parse(at) + lifetime).toISOString()
  const held = await changeServer(bench, server.sourceServerId, (current) => {
    const fresh = expireConsistencyPoint(current, at)
    const request = heldRequest(fresh, id)
    return request === undefined ? fresh : { ...fresh, consistencyRequest: { ...request, expiresAt } }
  })
  return heldRequest(held, id) !== undefined
}

/** Takes the snapshots; undefined when the point was let go before the last one was begun. */
async function takeAll(
  context: StepContext,
  id: ConsistencyPointId,
  isTaken: boolean,
): Promise<SnapshotOfDisk[] | undefined> {
  const { bench, server, task } = context
  await requireVolumes(context)
  const snapshots: SnapshotOfDisk[] = []
  for (const { diskIndex, volumeId, isBootDisk, deviceName } of server.disks) {
    if (volumeId === undefined)
      throw new PermanentError(`Disk ${deviceName} of ${server.sourceServerId} has no staging volume`)
    if (!isTaken && !(await keepHeld(context, id))) return undefined
    const snapshotId = await bench.cloud.createSnapshot({
      clientToken: `${task.taskId}/${id}/${diskIndex}`,
      volumeId,
      tags: {
        [sourceServerTag]: server.sourceServerId,
        [taskTag]: task.taskId,
        'rehost:consistency-point': id,
      },
    })
    snapshots.push({ snapshotId, diskIndex, isBootDisk })
  }
  return snapshots
}

/** Snapshots of a point that was let go are of no moment at all: they go, and another point is asked for. */
async function again(context: StepContext, because: string): Promise<StepResult> {
  await sweepTask(context, 'snapshot')
  return { redoFrom: 'request-consistency-point', because }
}

/** Says that the point's snapshots exist, which lets the replicator go on. False when it was let go before. */
async function markTaken({ bench, server }: StepContext, id: ConsistencyPointId): Promise<boolean> {
  let wasHeld = false
  await changeServer(bench, server.sourceServerId, (current) => {
    const request = heldRequest(current, id)
    wasHeld = request !== undefined
    if (request === undefined) return undefined
    return {
      ...current,
      consistencyRequest: { ...request, state: 'TAKEN' },
      replication: { ...current.replication, lastSnapshotAt: now(bench) },
    }
  })
  return wasHeld
}

async function run(context: StepContext): Promise<StepResult> {
  const { consistencyRequest } = context.server
  const { consistencyPointId: id } = context.output('request-consistency-point') as {
    consistencyPointId: ConsistencyPointId
  }
  const isTaken = consistencyRequest?.consistencyPointId === id && consistencyRequest.state === 'TAKEN'
  const snapshots = await takeAll(context, id, isTaken)
  if (snapshots === undefined) return again(context, `${id} was let go`)
  if (!isTaken && !(await markTaken(context, id)))
    return again(context, `${id} was let go while its snapshots were taken`)
  await context.logJob('SNAPSHOT_END', `Snapshots of consistency point ${id} taken`)
  return { done: snapshots.map((snapshot) => ({ ...snapshot })) }
}

/** `create-snapshots`. */
export const createSnapshots: Step = {
  name: 'create-snapshots',
  run,
  undo: (context) => sweepTask(context, 'snapshot'),
}
