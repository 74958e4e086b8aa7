/**
 * Snapshots and images of the memory cloud: copies of files.
 * @module
 */
import { rm } from 'node:fs/promises'
import { ConflictError, NotFoundError, PermanentError } from '../../domain/errors.ts'
import type { ImageId, SnapshotId, VolumeId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import type { ConversionDisk } from '../provider.ts'
import { copyDisk, fileFor, type MemoryContext } from './context.ts'
import { describeVolume, findVolume } from './volumes.ts'

/** What a snapshot is made of. */
export interface SnapshotSpec {
  clientToken: string
  volumeId: VolumeId
  tags: Record<string, string>
}

/** What an image is made of. */
export interface ImageSpec {
  clientToken: string
  disks: { snapshotId: SnapshotId; isBootDisk: boolean }[]
  tags: Record<string, string>
}

/** Copies a volume. @throws NotFoundError, PermanentError when it is damaged. */
export async function createSnapshot(context: MemoryContext, spec: SnapshotSpec): Promise<SnapshotId> {
  const id = idFromToken('snapshot', spec.clientToken)
  if (context.cloud.snapshots.has(id)) return id
  const volume = findVolume(context, spec.volumeId)
  const seen = await describeVolume(context, spec.volumeId)
  if (seen?.state === 'DAMAGED') {
    throw new PermanentError(`Cannot copy volume ${spec.volumeId}: it is damaged, ${seen.stateReason}`)
  }
  const file = await fileFor(context, `${id}.raw`)
  await copyDisk(volume.path, file)
  context.cloud.snapshots.set(id, { path: file, tags: spec.tags })
  return id
}

/** Deletes a snapshot. @throws ConflictError while an image stands on it. */
export async function deleteSnapshot({ cloud }: MemoryContext, snapshotId: SnapshotId): Promise<void> {
  const snapshot = cloud.snapshots.get(snapshotId)
  if (snapshot === undefined) return
  for (const [imageId, image] of cloud.images) {
    if (image.snapshotIds.includes(snapshotId)) {
      throw new ConflictError(
        `Cannot delete snapshot ${snapshotId}: image ${imageId} stands on it; delete that first`,
      )
    }
  }
  await rm(snapshot.path, { force: true })
  cloud.snapshots.delete(snapshotId)
}

/** Makes an image, boot disk first. @throws NotFoundError when a snapshot is missing. */
export async function createImage(context: MemoryContext, spec: ImageSpec): Promise<ImageId> {
  const id = idFromToken('image', spec.clientToken)
  if (context.cloud.images.has(id)) return id
  const disks = spec.disks.toSorted((a, b) => Number(b.isBootDisk) - Number(a.isBootDisk))
  const diskPaths: string[] = []
  for (const [index, { snapshotId }] of disks.entries()) {
    const snapshot = context.cloud.snapshots.get(snapshotId)
    if (snapshot === undefined) throw new NotFoundError('snapshot', snapshotId)
    const file = await fileFor(context, `${id}-${index}.raw`)
    await copyDisk(snapshot.path, file)
    diskPaths.push(file)
  }
  const snapshotIds = disks.map(({ snapshotId }) => snapshotId)
  context.cloud.images.set(id, { diskPaths, snapshotIds, tags: spec.tags })
  return id
}

/** Paths of an image's disks, boot disk first. @throws NotFoundError. */
export function openImage({ cloud }: MemoryContext, imageId: ImageId): ConversionDisk[] {
  const image = cloud.images.get(imageId)
  if (image === undefined) throw new NotFoundError('image', imageId)
  return image.diskPaths.map((diskPath, index) => ({
    path: diskPath,
    format: 'raw',
    isBootDisk: index === 0,
  }))
}

/** Deletes an image. @throws ConflictError while a machine stands on it. */
export async function deleteImage({ cloud }: MemoryContext, imageId: ImageId): Promise<void> {
  const image = cloud.images.get(imageId)
  if (image === undefined) return
  for (const [machineId, machine] of cloud.machines) {
    if (machine.imageId === imageId) {
      throw new ConflictError(
        `Cannot delete image ${imageId}: machine ${machineId} stands on it; detach or terminate that first`,
      )
    }
  }
  for (const diskPath of image.diskPaths) await rm(diskPath, { force: true })
  cloud.images.delete(imageId)
}
