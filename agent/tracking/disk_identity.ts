/**
 * Tells a disk from another one that has the same number later, while nobody looked.
 * @module
 */
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { SystemFiles } from '../inventory/system_files.ts'
import { stableIdOf } from '../inventory/disks.ts'

/** Number of a folder in /sys, which is made anew with its disk. */
async function folderNumber(path: string): Promise<string> {
  return String((await stat(path, { bigint: true })).ino)
}

/**
 * The kernel's count of the disk (since Linux 5.15 no two disks of one boot have the same) and what names it for good. Older kernels have no count:
 * there the disk's folder in /sys stands in for it, which another disk does not get, and a medium that can be changed is not known again.
 * Undefined when nothing tells it from another disk.
 */
export async function diskIdentity(
  files: SystemFiles,
  deviceNumber: string,
  deviceName: string,
  numberOf: (folder: string) => Promise<string> = folderNumber,
): Promise<string | undefined> {
  const folder = await files.realPath(`/sys/dev/block/${deviceNumber}`)
  if (folder === undefined) return undefined
  const count = await files.readText(`${folder}/diskseq`)
  const stableId = await stableIdOf(files, basename(folder), deviceName)
  if (count !== undefined) return `${count} ${stableId}`
  if (stableId === deviceName || (await files.readText(`${folder}/removable`)) !== '0') return undefined
  return `folder ${await numberOf(folder)} ${stableId}`
}
