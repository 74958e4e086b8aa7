/**
 * Step that gives disks which joined or grew the volumes they need, beside those of the others, which are written meanwhile.
 * @module
 */
import type { ReplicationServerId, VolumeId } from '../../domain/ids.ts'
import type { ReplicatedDisk, SourceServer } from '../../domain/source_server.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { sourceServerTag } from '../../cloud/provider.ts'
import { needsExtension, withDiskCovered, withExtensionFailure } from '../../domain/disk_changes.ts'
import { errorMessage } from '../../domain/errors.ts'
import { changeServer, now } from '../bench.ts'
import { listAll } from '../../store/listing.ts'
import { taskTag } from '../step.ts'
import { volumesAt } from './replication_server.ts'

/** The volume of a joining disk: made, and named in the record before anything else is done with it. */
async function volumeOf({ bench, task, server }: StepContext, disk: ReplicatedDisk): Promise<VolumeId> {
  if (disk.volumeId !== undefined) return disk.volumeId
  const volumeId = await bench.cloud.createVolume({
    clientToken: `${task.taskId}/volume/${disk.diskIndex}`,
    sizeBytes: disk.wantedSizeBytes ?? disk.sizeBytes,
    tags: {
      ...server.replicationConfiguration.stagingAreaTags,
      [sourceServerTag]: server.sourceServerId,
      [taskTag]: task.taskId,
    },
  })
  await changeServer(bench, server.sourceServerId, (current) => ({
    ...current,
    disks: current.disks.map((own) => (own.diskIndex === disk.diskIndex ? { ...own, volumeId } : own)),
  }))
  return volumeId
}

/** @throws Error when the replication server takes no further volume. */
async function requireRoom(
  { bench, server }: StepContext,
  replicationServerId: ReplicationServerId,
): Promise<void> {
  const most = bench.cloud.capabilities.maxVolumesPerReplicationServer
  const others = volumesAt(await listAll(bench.store, 'server'), replicationServerId, server)
  if (others + server.disks.length <= most) return
  throw new Error(
    `replication server ${replicationServerId} has ${others + server.disks.length - 1} volumes, and at most ${most} fit; ` +
      'disconnect another server that it serves',
  )
}

/** Makes the volume of `disk` as large as the disk is. */
async function cover(
  context: StepContext,
  disk: ReplicatedDisk,
  replicationServerId: ReplicationServerId,
): Promise<void> {
  const { bench, server } = context
  const sizeBytes = disk.wantedSizeBytes ?? disk.sizeBytes
  const { maxVolumeBytes } = bench.cloud.capabilities
  if (sizeBytes > maxVolumeBytes) {
    throw new Error(
      `it has ${sizeBytes} bytes, and a volume of the ${bench.cloud.name} cloud has at most ${maxVolumeBytes}`,
    )
  }
  if (disk.isJoining === true) await requireRoom(context, replicationServerId)
  const volumeId = await volumeOf(context, disk)
  await bench.cloud.growVolume(volumeId, sizeBytes)
  const devicePath = await bench.cloud.attachVolume(volumeId, replicationServerId)
  await changeServer(bench, server.sourceServerId, (current) =>
    isOn(current, replicationServerId)
      ? withDiskCovered(current, disk.diskIndex, { devicePath, sizeBytes }, now(bench))
      : undefined,
  )
}

function isOn(server: SourceServer, replicationServerId: ReplicationServerId): boolean {
  return server.replication.replicationServerId === replicationServerId
}

/** What fails is told and tried again by a later task: the other disks must not wait for it, and launches say why they can't be. */
async function run(context: StepContext): Promise<StepResult> {
  const { bench, server, signal } = context
  const { replicationServerId } = server.replication
  for (const disk of server.disks) {
    if (!needsExtension(disk) || replicationServerId === undefined) continue
    signal.throwIfAborted()
    try {
      await cover(context, disk, replicationServerId)
    } catch (error) {
      const { sourceServerId } = server
      const failure = errorMessage(error)
      bench.log.error({ sourceServerId, diskIndex: disk.diskIndex, err: error }, failure)
      await changeServer(bench, sourceServerId, (current) =>
        withExtensionFailure(current, disk.diskIndex, failure, now(bench)),
      )
    }
  }
  return { done: null }
}

/** `extend-staging`. Nothing is taken back: a volume that was made is named in the record, and the next attempt goes on with it. */
export const extendStaging: Step = { name: 'extend-staging', run }
