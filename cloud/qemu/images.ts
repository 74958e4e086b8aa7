/**
 * Images: one overlay per snapshot, on which conversion writes while the snapshot stays as it was taken.
 * @module
 */
import path from 'node:path'
import { ConflictError, NotFoundError } from '../../domain/errors.ts'
import type { ImageId, SnapshotId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import type { ConversionDisk } from '../provider.ts'
import type { QemuContext } from './context.ts'
import { machinesOn } from './dependants.ts'
import { makeFolder, readJson, removeFolder, writeJson } from './files.ts'
import { diskName, metadataNames } from './layout.ts'
import { withLock } from './lock.ts'
import { imageSchema, type ImageMetadata } from './metadata.ts'
import { createOverlay } from './overlay.ts'
import { snapshotPath } from './snapshots.ts'

/** What an image is made of. */
export interface ImageSpec {
  clientToken: string
  disks: { snapshotId: SnapshotId; isBootDisk: boolean }[]
  tags: Record<string, string>
}

/** Makes an image, boot disk first. @throws NotFoundError when a snapshot is missing. */
export async function createImage(context: QemuContext, spec: ImageSpec): Promise<ImageId> {
  const id = idFromToken('image', spec.clientToken)
  const folder = context.layout.image(id)
  const metadata = path.join(folder, metadataNames.image)
  return await withLock(folder, async () => {
    if ((await readJson(metadata, imageSchema))?.progress === 'READY') return id
    const disks = spec.disks.toSorted((a, b) => Number(b.isBootDisk) - Number(a.isBootDisk))
    const backing: string[] = []
    for (const { snapshotId } of disks) backing.push(await snapshotPath(context, snapshotId))
    await makeFolder(folder)
    await writeJson(metadata, { progress: 'CREATING', disks, tags: spec.tags } satisfies ImageMetadata)
    for (const [index, file] of backing.entries()) await createOverlay(context, folder, index, file, 'raw')
    await writeJson(metadata, { progress: 'READY', disks, tags: spec.tags } satisfies ImageMetadata)
    return id
  })
}

/** Paths of an image's disks, boot disk first. @throws NotFoundError. */
export async function openImage(context: QemuContext, id: ImageId): Promise<ConversionDisk[]> {
  const folder = context.layout.image(id)
  const image = await readJson(path.join(folder, metadataNames.image), imageSchema)
  if (image?.progress !== 'READY') throw new NotFoundError('image', id)
  return image.disks.map(({ isBootDisk }, index) => ({
    path: path.join(folder, diskName(index)),
    format: 'qcow2',
    isBootDisk,
  }))
}

/** Deletes an image and all that was written on it. @throws ConflictError while a machine stands on it. */
export async function deleteImage(context: QemuContext, id: ImageId): Promise<void> {
  await withLock(context.layout.image(id), async () => {
    const [machineId] = await machinesOn(context, id)
    if (machineId !== undefined) {
      throw new ConflictError(
        `Cannot delete image ${id}: machine ${machineId} stands on it; detach or terminate that first`,
      )
    }
    await removeFolder(context.layout.image(id), metadataNames.image)
  })
}
