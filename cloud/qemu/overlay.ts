/**
 * Overlays: qcow2 files that hold only what differs from the disk they stand on.
 * @module
 */
import { readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { QemuContext } from './context.ts'
import { flush, removeUnfinished, unfinishedName } from './files.ts'
import { diskName } from './layout.ts'

const toolTimeoutMs = 60_000

/**
 * Makes disk `index` in `folder`, standing on `backing`; one that is there already is kept. The backing file is named relative to
 * the folder, so that a data folder can be moved.
 */
export async function createOverlay(
  context: QemuContext,
  folder: string,
  index: number,
  backing: string,
  backingFormat: 'raw' | 'qcow2',
): Promise<void> {
  const name = diskName(index)
  if ((await readdir(folder)).includes(name)) return
  await removeUnfinished(path.join(folder, name))
  const unfinished = unfinishedName(path.join(folder, name))
  const args = [
    'create',
    '-q',
    '-f',
    'qcow2',
    '-F',
    backingFormat,
    '-b',
    path.relative(folder, backing),
    unfinished,
  ]
  await context.tools.run('qemu-img', args, toolTimeoutMs)
  await flush(unfinished)
  await rename(unfinished, path.join(folder, name))
  await flush(folder)
}

const infoSchema = z.object({ 'backing-filename': z.string().optional() })

/** The file that an overlay stands on, or undefined when it stands alone. Also while a machine has it open. */
export async function backingFile(context: QemuContext, overlay: string): Promise<string | undefined> {
  const info = await context.tools.run('qemu-img', ['info', '-U', '--output=json', overlay], toolTimeoutMs)
  return infoSchema.parse(JSON.parse(info))['backing-filename']
}
