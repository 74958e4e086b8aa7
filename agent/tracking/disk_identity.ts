/**
 * Tells a disk from another one that has the same number later, while nobody looked.
 * @module
 */
import { basename } from 'node:path'
import type { SystemFiles } from '../inventory/system_files.ts'
import { attachmentOf, stableIdOf } from '../inventory/disk_identity.ts'

/**
 * How the kernel has the disk and what names it for good, in this boot. Where the kernel has no count a disk without a name is not known again.
 * Undefined when nothing tells it from another disk.
 */
export async function diskIdentity(
  files: SystemFiles,
  deviceNumber: string,
  deviceName: string,
): Promise<string | undefined> {
  const folder = await files.realPath(`/sys/dev/block/${deviceNumber}`)
  if (folder === undefined) return undefined
  const attachment = await attachmentOf(files, folder)
  const stableId = await stableIdOf(files, basename(folder), deviceName)
  const isNamed = stableId !== deviceName || (await files.readText(`${folder}/diskseq`)) !== undefined
  return attachment === undefined || !isNamed ? undefined : `${attachment} ${stableId}`
}
