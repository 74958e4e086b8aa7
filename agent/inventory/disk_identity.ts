/**
 * Tells a disk from another one that has its name, now or later.
 * @module
 */
import { basename, dirname } from 'node:path'
import type { SystemFiles } from './system_files.ts'
import { readBootId } from './machine.ts'

/** What a disk is known by. */
export interface DiskIdentity {
  /** Names it for good; its device name where it has nothing better. */
  stableId: string
  /** Names the time for which the kernel has had it: see `SourceDisk`. */
  attachmentId?: string
}

/** What names the disk for good: its world-wide name, its serial number, its multipath id; its device name where it has none. */
export async function stableIdOf(files: SystemFiles, name: string, deviceName: string): Promise<string> {
  const folder = `/sys/block/${name}`
  for (const path of [
    `${folder}/wwid`,
    `${folder}/device/wwid`,
    `${folder}/serial`,
    `${folder}/device/serial`,
    `${folder}/dm/uuid`,
  ]) {
    const value = (await files.readText(path))?.replaceAll(/\s+/g, ' ')
    if (value !== undefined && value !== '') return value.slice(0, 256)
  }
  return deviceName
}

/**
 * The kernel's count of the disk: since Linux 5.15 no two disks of one boot have the same. Older kernels have none: there the number of the disk's
 * folder in /sys stands in for it, which is made anew with its disk. Undefined where neither tells a medium from the next one.
 *
 * @param folder of the disk in /sys.
 */
export async function attachmentOf(files: SystemFiles, folder: string): Promise<string | undefined> {
  const count = await files.readText(`${folder}/diskseq`)
  if (count !== undefined) return count
  if ((await files.readText(`${folder}/removable`)) !== '0') return undefined
  const inode = await files.inode(folder)
  return inode === undefined ? undefined : `folder ${inode}`
}

/** The identity of disk `name` of the kernel. */
export async function diskIdentityOf(
  files: SystemFiles,
  name: string,
  deviceName: string,
): Promise<DiskIdentity> {
  const attachment = await attachmentOf(files, `/sys/block/${name}`)
  return {
    stableId: await stableIdOf(files, name, deviceName),
    ...(attachment === undefined ? {} : { attachmentId: `${await readBootId(files)}/${attachment}` }),
  }
}

/** The identity of a block device by its number, `major:minor`. A partition is known by its name, and attached with its disk. */
export async function deviceIdentityOf(
  files: SystemFiles,
  deviceNumber: string,
  deviceName: string,
): Promise<DiskIdentity> {
  const folder = await files.realPath(`/sys/dev/block/${deviceNumber}`)
  if (folder === undefined) return { stableId: deviceName }
  const isPartition = (await files.readText(`${folder}/partition`)) !== undefined
  if (!isPartition) return diskIdentityOf(files, basename(folder), deviceName)
  const disk = await diskIdentityOf(files, basename(dirname(folder)), deviceName)
  return { ...disk, stableId: deviceName }
}
