/**
 * What stands on what: a snapshot under an image and an image under a machine must not go first.
 * @module
 */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { isId, type ImageId, type MachineId, type SnapshotId } from '../../domain/ids.ts'
import type { QemuContext } from './context.ts'
import { readJson, unlessMissing } from './files.ts'
import { metadataNames } from './layout.ts'
import { imageSchema, machineSchema } from './metadata.ts'

/** Images, half-made ones too, that stand on a snapshot. */
export async function imagesOn(context: QemuContext, snapshotId: SnapshotId): Promise<ImageId[]> {
  const { layout } = context
  const found: ImageId[] = []
  for (const id of (await unlessMissing(readdir(layout.images))) ?? []) {
    if (!isId('image', id)) continue
    const image = await readJson(path.join(layout.image(id), metadataNames.image), imageSchema)
    if (image?.disks.some((disk) => disk.snapshotId === snapshotId)) found.push(id)
  }
  return found
}

/** Machines, half-made ones too, whose disks stand on an image. */
export async function machinesOn(context: QemuContext, imageId: ImageId): Promise<MachineId[]> {
  const { layout } = context
  const found: MachineId[] = []
  for (const id of (await unlessMissing(readdir(layout.machines))) ?? []) {
    if (!isId('machine', id)) continue
    const machine = await readJson(path.join(layout.machine(id), metadataNames.machine), machineSchema)
    if (machine?.imageId === imageId) found.push(id)
  }
  return found
}
