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

/** How long the point is held while its snapshots are made. A cloud that copies needs it: a terabyte at 200 MB/s takes an hour and a half. */
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

async function takeAll(context: StepContext, id: ConsistencyPointId): Promise<SnapshotOfDisk[]> {
  const { bench, server, task } = context
  await requireVolumes(context)
  const snapshots: SnapshotOfDisk[] = []
  for (const { diskIndex, volumeId, isBootDisk, deviceName } of server.disks) {
    if (volumeId === undefined)
      throw new PermanentError(`Disk ${deviceName} of ${server.sourceServerId} has no staging volume`)
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

async function run(context: StepContext): Promise<StepResult> {
  const { bench, server } = context
  const { consistencyPointId: id } = context.output('request-consistency-point') as {
    consistencyPointId: ConsistencyPointId
  }
  const at = now(bench)
  const lifetime = bench.cloud.capabilities.instantSnapshots ? lifetimeMs.instant : lifetimeMs.copied
  const isTaken =
    server.consistencyRequest?.consistencyPointId === id && server.consistencyRequest.state === 'TAKEN'
  if (!isTaken) {
    const held = await changeServer(bench, server.sourceServerId, (current) => {
      const fresh = expireConsistencyPoint(current, at)
      const request = heldRequest(fresh, id)
      const expiresAt = new Date(Date.parse(at) + lifetime).toISOString()
      return request === undefined ? fresh : { ...fresh, consistencyRequest: { ...request, expiresAt } }
    })
    if (heldRequest(held, id) === undefined) return again(context, `${id} was let go`)
  }
  const snapshots = await takeAll(context, id)
  if (!isTaken) {
    let wasHeld = false
    await changeServer(bench, server.sourceServerId, (current) => {
      const request = heldRequest(current, id)
      wasHeld = request !== undefined
      if (request === undefined) return undefined
      const takenAt = now(bench)
      return {
        ...current,
        consistencyRequest: { ...request, state: 'TAKEN' },
        replication: { ...current.replication, lastSnapshotAt: takenAt },
      }
    })
    if (!wasHeld) return again(context, `${id} was let go while its snapshots were taken`)
  }
  await context.logJob('SNAPSHOT_END', `Snapshots of consistency point ${id} taken`)
  return { done: snapshots.map((snapshot) => ({ ...snapshot })) }
}

/** `create-snapshots`. */
export const createSnapshots: Step = {
  name: 'create-snapshots',
  run,
  undo: (context) => sweepTask(context, 'snapshot'),
}
