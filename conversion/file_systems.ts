/**
 * The file systems on the guest's disks, and which of them holds an operating system. Only reads, but for the journal of a file system
 * that was not cleanly left, which is replayed when it is mounted.
 * @module
 */
import { PermanentError } from '../domain/errors.ts'
import type { Appliance } from './appliance.ts'
import { isAboutGuest } from './guestfish.ts'
import { parseFstab, resolveEntry } from './linux/fstab.ts'
import { findArrays, nameArrays, withArrays } from './raid_arrays.ts'
import type { FileSystem, Guest } from './types.ts'

const encryptedTypes = ['crypto_LUKS', 'BitLocker']
/** What holds no files of its own. */
const containerTypes = [
  'swap',
  'LVM2_member',
  'linux_raid_member',
  'iso9660',
  'vfat',
  'zfs_member',
  ...encryptedTypes,
]
const windowsFolders = ['/Windows/System32', '/WINDOWS/system32', '/windows/system32']
/** Subvolumes that distributions keep their root in, when it is not the default one. */
const rootSubvolumes = ['@', '@rootfs', 'root', '@/.snapshots/1/snapshot']
/** Where EFI system partitions are mounted, but for those that are `/boot` as well. */
const efiMountPoints = ['/boot/efi', '/efi']
/** Folders whose own file systems conversion needs; others stay unmounted. */
const neededFolders = ['/boot', ...efiMountPoints, '/usr', '/var', '/var/lib', '/opt', '/etc']
/** Types of an EFI system partition, in a GPT and in an MBR. */
const efiPartitionTypes = ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']

/** What was found on the disks. */
export interface FoundFileSystems {
  /** The appliance's names of all partitions. */
  partitions: string[]
  fileSystems: FileSystem[]
  usesLvm: boolean
}

/** All file systems, by looking at every disk, partition, logical volume and RAID array. */
export async function findFileSystems(appliance: Appliance): Promise<FoundFileSystems> {
  const partitions = await appliance.lines('list-partitions')
  const bareDisks = appliance.disks.filter(
    (disk) => !partitions.some((name) => name.replace(/\d+$/, '') === disk),
  )
  const fileSystems: FileSystem[] = []
  const identifyAll = async (devices: readonly string[]): Promise<void> => {
    for (const device of devices) {
      const found = await identify(appliance, device)
      if (found !== undefined) fileSystems.push(found)
    }
  }
  const holds = (container: string): boolean => fileSystems.some(({ type }) => type === container)
  await identifyAll([...partitions, ...bareDisks])
  const arrays = holds('linux_raid_member') ? await findArrays(appliance) : []
  await identifyAll(arrays.map(({ device }) => device))
  // Asking for logical volumes takes a second even where there are none.
  const usesLvm = holds('LVM2_member')
  if (usesLvm) await identifyAll(await appliance.lines('lvs'))
  return { partitions, fileSystems: withArrays(fileSystems, arrays), usesLvm }
}

/** What blkid knows of a device; undefined when there is no signature on it. */
async function identify(appliance: Appliance, device: string): Promise<FileSystem | undefined> {
  let lines: string[]
  try {
    lines = await appliance.lines('blkid', device)
  } catch (error) {
    // An empty partition is no failure.
    if (isAboutGuest(error)) return undefined
    throw error
  }
  const value = (name: string): string =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? ''
  const type = value('TYPE')
  if (type === '') return undefined
  return {
    device,
    type,
    uuid: value('UUID'),
    label: value('LABEL'),
    partUuid: value('PART_ENTRY_UUID'),
    partLabel: value('PART_ENTRY_NAME'),
    partType: value('PART_ENTRY_TYPE'),
  }
}

/** A root file system: what to mount and how. */
export interface RootFileSystem {
  device: string
  subvolume?: string
}

type Look =
  { found: 'linux' | 'windows' | 'nothing'; subvolume?: string } | { found: 'trouble'; words: string }

/**
 * The one root file system on the disks. Nothing stays mounted.
 * @throws PermanentError with a verdict when there is none, more than one, or one that this version doesn't convert.
 */
export async function findRoot(
  appliance: Appliance,
  { fileSystems }: Pick<FoundFileSystems, 'fileSystems'>,
): Promise<RootFileSystem> {
  const roots: RootFileSystem[] = []
  const windows: string[] = []
  const troubles: string[] = []
  for (const { device, type } of fileSystems.filter((own) => !containerTypes.includes(own.type))) {
    const look = await lookAt(appliance, device, type)
    if (look.found === 'linux')
      roots.push({ device, ...(look.subvolume === undefined ? {} : { subvolume: look.subvolume }) })
    if (look.found === 'windows') windows.push(device)
    if (look.found === 'trouble') troubles.push(`${device} (${type}) cannot be mounted: ${look.words}`)
  }
  const places = [...roots.map(({ device }) => device), ...windows]
  if (places.length > 1) {
    throw new PermanentError(
      `Found ${places.length} operating systems (on ${places.join(', ')}): Rehost converts disks with exactly one; replicate only the disks of one with --devices`,
    )
  }
  if (windows.length > 0)
    throw new PermanentError('Found Windows: this version of Rehost converts Linux only')
  const [root] = roots
  if (root !== undefined) return root
  const encrypted = fileSystems.filter(({ type }) => encryptedTypes.includes(type))
  if (encrypted.length > 0) {
    const what = encrypted.map(({ device, type }) => `${device}: ${type}`).join(', ')
    throw new PermanentError(
      `The disks are encrypted (${what}): Rehost cannot open them to prepare them for the target`,
    )
  }
  if (troubles.length > 0) {
    throw new PermanentError(
      `Found no operating system: ${troubles.join('; ')}. Check the file system on the source and replicate again`,
    )
  }
  const seen = fileSystems.map(({ device, type }) => `${device}: ${type}`).join(', ')
  throw new PermanentError(
    `Found no operating system on the disks (${seen === '' ? 'no file system' : `only ${seen}`}): is the boot disk among the replicated disks?`,
  )
}

async function lookAt(appliance: Appliance, device: string, type: string): Promise<Look> {
  for (const subvolume of [undefined, ...(type === 'btrfs' ? rootSubvolumes : [])]) {
    try {
      await mount(appliance, { device, ...(subvolume === undefined ? {} : { subvolume }) }, '/', ['ro'])
    } catch (error) {
      if (!isAboutGuest(error)) throw error
      // A subvolume that is not there is what most disks are like; the file system itself must be readable.
      if (subvolume !== undefined) continue
      return { found: 'trouble', words: error.message }
    }
    const found = await lookAtMounted(appliance, type)
    await appliance.run('umount', '/')
    if (found !== 'nothing') return { found, ...(subvolume === undefined ? {} : { subvolume }) }
  }
  return { found: 'nothing' }
}

async function lookAtMounted(appliance: Appliance, type: string): Promise<'linux' | 'windows' | 'nothing'> {
  if (type.startsWith('ntfs')) {
    for (const folder of windowsFolders) if (await appliance.isFolder(folder)) return 'windows'
    return 'nothing'
  }
  // With /usr on a file system of its own, os-release is a link to nowhere; that it is there says enough.
  for (const path of ['/etc/os-release', '/etc/redhat-release', '/etc/debian_version']) {
    if (await appliance.asks('exists', path)) return 'linux'
    if (await appliance.asks('is-symlink', path)) return 'linux'
  }
  return 'nothing'
}

async function mount(
  appliance: Appliance,
  { device, subvolume }: RootFileSystem,
  mountPoint: string,
  options: readonly string[],
): Promise<void> {
  const all = [...options, ...(subvolume === undefined ? [] : [`subvol=${subvolume}`])]
  await appliance.run('mount-options', all.join(','), device, mountPoint)
}

/**
 * Mounts the root file system and those that conversion needs below it, as the guest's fstab has them.
 * @returns the file systems with their mount points and the guest's names of arrays, and warnings about those that could not be mounted.
 * @throws PermanentError when the root itself cannot be mounted.
 */
export async function mountGuest(
  appliance: Appliance,
  root: RootFileSystem,
  names: Pick<Guest, 'fileSystems' | 'sourceDeviceNames'>,
): Promise<{ fileSystems: FileSystem[]; warnings: string[] }> {
  try {
    await mount(appliance, root, '/', [])
  } catch (error) {
    if (!isAboutGuest(error)) throw error
    throw new PermanentError(
      `Cannot mount the guest's root file system ${root.device}: ${error.message}. Check the file system on the source and replicate again`,
      { cause: error },
    )
  }
  const fileSystems = await nameArrays(appliance, names.fileSystems)
  const mounted = new Map([[root.device, '/']])
  const warnings: string[] = []
  const mountAt = async (device: string, mountPoint: string, subvolume?: string): Promise<void> => {
    try {
      await mount(appliance, { device, ...(subvolume === undefined ? {} : { subvolume }) }, mountPoint, [])
      if (!mounted.has(device)) mounted.set(device, mountPoint)
    } catch (error) {
      if (!isAboutGuest(error)) throw error
      warnings.push(`Cannot mount ${device} at ${mountPoint}, what is on it stays as it is: ${error.message}`)
    }
  }
  const all = parseFstab((await appliance.text('/etc/fstab')) ?? '')
  const needed = all
    .map((entry) => ({ entry, mountPoint: entry.mountPoint.replace(/(?<=.)\/+$/, '') }))
    .filter(({ mountPoint }) => neededFolders.includes(mountPoint))
    .sort((left, right) => left.mountPoint.length - right.mountPoint.length)
  for (const { entry, mountPoint } of needed) {
    const found = resolveEntry({ ...names, fileSystems, rootDevice: root.device }, entry, all)
    const subvolume = /(?:^|,)subvol=([^,]+)/.exec(entry.options)?.[1]
    if (found !== undefined) await mountAt(found.device, mountPoint, subvolume)
  }
  // An EFI system partition may do without an entry: systemd finds it by its type.
  const efi = fileSystems.find(({ partType }) => efiPartitionTypes.includes(partType))
  if (efi !== undefined && !mounted.has(efi.device)) {
    for (const mountPoint of efiMountPoints) {
      if (mounted.has(efi.device) || !(await appliance.isFolder(mountPoint))) continue
      await mountAt(efi.device, mountPoint)
    }
  }
  const withMountPoint = (own: FileSystem): FileSystem => {
    const mountPoint = mounted.get(own.device)
    return mountPoint === undefined ? own : { ...own, mountPoint }
  }
  return { fileSystems: fileSystems.map(withMountPoint), warnings }
}
