/**
 * What lies under a mounted file system: from a device number through partitions, device-mapper, software RAID and btrfs down to disks.
 * @module
 */
import type { SystemFiles } from './system_files.ts'

/** One line of `/proc/self/mountinfo`. */
export interface Mount {
  deviceNumber: string
  mountPoint: string
  fileSystem: string
  source: string
  isReadOnly: boolean
}

/** Undoes the kernel's octal escapes (`\040` for a blank). */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 8)),
  )
}

/** Parses `/proc/self/mountinfo`; lines of another form are left out. */
export function parseMountInfo(text: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ')
    const fields = before?.split(' ') ?? []
    const [fileSystem, source, superOptions] = after?.split(' ') ?? []
    const [, , deviceNumber, , mountPoint, options] = fields
    if (deviceNumber === undefined || mountPoint === undefined || fileSystem === undefined) continue
    mounts.push({
      deviceNumber,
      mountPoint: unescapeOctal(mountPoint),
      fileSystem,
      source: unescapeOctal(source ?? ''),
      isReadOnly: (options ?? '').split(',').includes('ro') || (superOptions ?? '').split(',').includes('ro'),
    })
  }
  return mounts
}

/** The file systems that this process sees mounted. */
export async function readMounts(files: SystemFiles): Promise<Mount[]> {
  return parseMountInfo((await files.readText('/proc/self/mountinfo')) ?? '')
}

/** The last part of a path. */
function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Whether device-mapper device `name` joins several paths to one disk: it then is the disk, and what lies under it are its paths. */
export async function isMultipath(files: SystemFiles, name: string): Promise<boolean> {
  return (await files.readText(`/sys/block/${name}/dm/uuid`))?.startsWith('mpath-') ?? false
}

/** Nothing real is stacked deeper than this; a loop in a captured tree must still end. */
export const maxStacked = 16

/** Kernel names (`sda`, `nvme0n1`) of the disks that hold block device `name`. */
export async function disksUnder(files: SystemFiles, name: string, depth = 0): Promise<Set<string>> {
  const disks = new Set<string>()
  if (depth > maxStacked) return disks
  const folder = await files.realPath(`/sys/class/block/${name}`)
  if (folder === undefined) return disks
  if ((await files.readText(`${folder}/partition`)) !== undefined) {
    return disksUnder(files, lastPart(folder.slice(0, folder.lastIndexOf('/'))), depth + 1)
  }
  const slaves = await files.list(`${folder}/slaves`)
  if (slaves.length === 0 || (await isMultipath(files, name))) return disks.add(name)
  for (const slave of slaves) {
    for (const disk of await disksUnder(files, slave, depth + 1)) disks.add(disk)
  }
  return disks
}

/** Kernel names of the block devices a mount's file system was made on; several for btrfs. None for what has no device. */
export async function devicesOf(files: SystemFiles, mount: Mount): Promise<string[]> {
  if (!mount.deviceNumber.startsWith('0:')) {
    const folder = await files.realPath(`/sys/dev/block/${mount.deviceNumber}`)
    return folder === undefined ? [] : [lastPart(folder)]
  }
  // btrfs shows an anonymous device number: its own folder lists its devices.
  if (!mount.source.startsWith('/dev/')) return []
  const source = await files.realPath(mount.source)
  if (source === undefined) return []
  const name = lastPart(source)
  for (const id of await files.list('/sys/fs/btrfs')) {
    const members = await files.list(`/sys/fs/btrfs/${id}/devices`)
    if (members.includes(name)) return members
  }
  return [name]
}

/** Kernel names of the disks that hold a mounted file system. */
export async function disksOfMount(files: SystemFiles, mount: Mount): Promise<Set<string>> {
  const disks = new Set<string>()
  for (const device of await devicesOf(files, mount)) {
    for (const disk of await disksUnder(files, device)) disks.add(disk)
  }
  return disks
}

/**
 * The disk that the machine boots from: the first that holds `/boot/efi`, else `/boot`, else `/`. Firmware and boot loader read those in that
 * order; a root file system may span disks that the firmware never touches.
 */
export async function findBootDisk(
  files: SystemFiles,
  mounts: readonly Mount[],
): Promise<string | undefined> {
  for (const mountPoint of ['/boot/efi', '/efi', '/boot', '/']) {
    // The last mount on a mount point hides the earlier ones.
    const mount = mounts.findLast((candidate) => candidate.mountPoint === mountPoint)
    if (mount === undefined) continue
    const [first] = [...(await disksOfMount(files, mount))].sort()
    if (first !== undefined) return first
  }
  return undefined
}
