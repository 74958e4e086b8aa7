/**
 * Snapshots: copies of volumes at one moment.
 * @module
 */
import { rename, rm } from 'node:fs/promises'
import { ConflictError, NotFoundError } from '../../domain/errors.ts'
import type { SnapshotId, VolumeId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import type { QemuContext } from './context.ts'
import { copyDisk } from './copy.ts'
import { imagesOn } from './dependants.ts'
import {
  flush,
  makeFolder,
  readJson,
  removeUnfinished,
  unfinishedName,
  unlessMissing,
  writeJson,
} from './files.ts'
import { withLock } from './lock.ts'
import { snapshotSchema, type SnapshotMetadata } from './metadata.ts'
import { requireHealthyVolume } from './volumes.ts'

/** What a snapshot is made of. */
export interface SnapshotSpec {
  clientToken: string
  volumeId: VolumeId
  tags: Record<string, string>
}

/** Copies a volume. The caller guarantees that nothing writes to it meanwhile. @throws NotFoundError, NoSpaceError, PermanentError when it is damaged. */
export async function createSnapshot(context: QemuContext, spec: SnapshotSpec): Promise<SnapshotId> {
  const { layout } = context
  const id = idFromToken('snapshot', spec.clientToken)
  const { disk, metadata } = layout.snapshot(id)
  return await withLock(metadata, async () => {
    if ((await readJson(metadata, snapshotSchema))?.progress === 'READY') return id
    const what = `copy volume ${spec.volumeId} into snapshot ${id}`
    await requireHealthyVolume(context, spec.volumeId, what)
    await makeFolder(layout.snapshots)
    const note = { volumeId: spec.volumeId, tags: spec.tags }
    await writeJson(metadata, { progress: 'CREATING', ...note } satisfies SnapshotMetadata)
    await removeUnfinished(disk)
    const unfinished = unfinishedName(disk)
    await copyDisk(context, layout.volume(spec.volumeId).disk, unfinished, what)
    // Should it have been cut while it was copied, so is the copy.
    await requireHealthyVolume(context, spec.volumeId, what)
    // A copy that an earlier call finished and could not record is replaced: that call never answered, so nobody relies on it.
    await rename(unfinished, disk)
    await writeJson(metadata, { progress: 'READY', ...note } satisfies SnapshotMetadata)
    return id
  })
}

/** Deletes a snapshot. @throws ConflictError while an image stands on it. */
export async function deleteSnapshot(context: QemuContext, id: SnapshotId): Promise<void> {
  const { disk, metadata } = context.layout.snapshot(id)
  await withLock(metadata, async () => {
    const [imageId] = await imagesOn(context, id)
    if (imageId !== undefined) {
      throw new ConflictError(
        `Cannot delete snapshot ${id}: image ${imageId} stands on it; delete that first`,
      )
    }
    await removeUnfinished(disk)
    await rm(disk, { force: true })
    await removeUnfinished(metadata)
    await rm(metadata, { force: true })
    await unlessMissing(flush(context.layout.snapshots))
  })
}

/** Path of a finished snapshot. @throws NotFoundError. */
export async function snapshotPath(context: QemuContext, id: SnapshotId): Promise<string> {
  const { disk, metadata } = context.layout.snapshot(id)
  if ((await readJson(metadata, snapshotSchema))?.progress !== 'READY')
    throw new NotFoundError('snapshot', id)
  return disk
}
