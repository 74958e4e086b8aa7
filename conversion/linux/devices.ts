/**
 * The ways in which a guest names its disks, and the file systems they mean.
 * @module
 */
import type { FileSystem, Guest } from '../types.ts'
import { arrayName } from './raid.ts'

/**
 * `/dev/sda1`, `/dev/vdb`, `/dev/xvda2`, `/dev/hda1`, `/dev/nvme0n1p3`, `/dev/mmcblk0p1`, `/dev/cciss/c0d0p1`, `/dev/disk/by-path/…`,
 * `/dev/disk/by-id/…`: names that follow the hardware and change with it. Those of logical volumes and RAID arrays do not.
 */
export const unstableDevice =
  /^\/dev\/(?:(?:[sv]|xv|h)d[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|mmcblk\d+(?:p\d+)?|cciss\/c\d+d\d+(?:p\d+)?|disk\/by-(?:path|id)\/(?!dm-|md-|lvm-).+)$/

const lettered = /^\/dev\/(?:[sv]|xv|h)d([a-z])(\d*)$/
const nvme = /^\/dev\/nvme(\d+)n\d+(?:p(\d+))?$/

/** What names a file system is given. */
export type Names = Pick<Guest, 'fileSystems' | 'sourceDeviceNames'>

/** The partition number in `device` when it is on the disk `disk`: `''` for the whole disk, undefined when it is on another. */
function partitionOn(device: string, disk: string): string | undefined {
  if (device === disk) return ''
  const separator = /\d$/.test(disk) ? 'p' : ''
  const rest = device.startsWith(disk + separator) ? device.slice(disk.length + separator.length) : ''
  return /^\d+$/.test(rest) ? rest : undefined
}

/** The appliance's name of a device that the guest calls `device`. */
function applianceName(names: Names, device: string): string | undefined {
  const known = names.sourceDeviceNames.filter((name) => name !== undefined)
  for (const [index, disk] of names.sourceDeviceNames.entries()) {
    const partition = disk === undefined ? undefined : partitionOn(device, disk)
    if (partition !== undefined) return nameOfDisk(index) + partition
  }
  // With all names known, one that is not among them is the name of a disk that was not replicated.
  if (known.length > 0 && known.length === names.sourceDeviceNames.length) return undefined
  const byLetter = lettered.exec(device)
  if (byLetter !== null) return `/dev/sd${byLetter[1]}${byLetter[2]}`
  const byNumber = nvme.exec(device)
  return byNumber === null ? undefined : nameOfDisk(Number(byNumber[1])) + (byNumber[2] ?? '')
}

/** The appliance's name of disk `index`: `/dev/sda`, … `/dev/sdz`, `/dev/sdaa`, … */
export function nameOfDisk(index: number): string {
  const letter = (value: number): string => String.fromCodePoint(97 + value)
  return index < 26
    ? `/dev/sd${letter(index)}`
    : `/dev/sd${letter(Math.floor(index / 26) - 1)}${letter(index % 26)}`
}

/** `/dev/mapper/vg-lv` as `/dev/vg/lv`, the name that the appliance gives a logical volume. */
function volumeName(device: string): string {
  const mapped = /^\/dev\/(?:mapper\/|disk\/by-id\/dm-name-)((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(device)
  const plain = (name: string | undefined): string => (name ?? '').replaceAll('--', '-')
  return mapped === null ? device : `/dev/${plain(mapped[1])}/${plain(mapped[2])}`
}

/** Spaces and the like as fstab writes them (`\040`) and as udev does in names of links (`\x20`). */
function unescaped(text: string): string {
  return text.replaceAll(/\\(?:([0-7]{3})|x([\da-f]{2}))/g, (_all, octal?: string, hex?: string) =>
    String.fromCodePoint(octal === undefined ? Number.parseInt(hex ?? '', 16) : Number.parseInt(octal, 8)),
  )
}

const tags = ['UUID', 'LABEL', 'PARTUUID', 'PARTLABEL'] as const

/** What a tag (`UUID=…`) or a link named after one (`/dev/disk/by-uuid/…`) says; undefined for other sources. */
function tagOf(source: string): { tag: (typeof tags)[number]; value: string } | undefined {
  for (const tag of tags) {
    const prefix = [`${tag}=`, `/dev/disk/by-${tag.toLowerCase()}/`].find((own) => source.startsWith(own))
    if (prefix !== undefined)
      return { tag, value: unescaped(source.slice(prefix.length).replaceAll(/^["']|["']$/g, '')) }
  }
  return undefined
}

/**
 * The file system that the guest names by `source`, the first field of fstab or the value of `root=`; undefined when it is on none of the
 * converted disks. `type` guards against a wrong guess: what is mounted as xfs is not on an ext4 partition.
 */
export function resolveSource(names: Names, source: string, type = 'auto'): FileSystem | undefined {
  const { fileSystems } = names
  const tagged = tagOf(source)
  if (tagged !== undefined) {
    const { tag, value } = tagged
    const same = (own: string): boolean => own !== '' && own.toLowerCase() === value.toLowerCase()
    if (tag === 'UUID') return fileSystems.find(({ uuid }) => same(uuid))
    if (tag === 'PARTUUID') return fileSystems.find(({ partUuid }) => same(partUuid))
    return fileSystems.find(({ label, partLabel }) => value === (tag === 'LABEL' ? label : partLabel))
  }
  // The appliance's own name for another array may be the same.
  if (arrayName.test(source))
    return fileSystems.find((own) => own.guestNames?.includes(unescaped(source)) && isOfType(own, type))
  const name = unstableDevice.test(source) ? applianceName(names, source) : volumeName(source)
  return fileSystems.find((own) => own.device === name && isOfType(own, type))
}

/** Whether a file system can be mounted as `type`, or as one of several with commas between them. */
export function isOfType({ type: found }: FileSystem, type: string): boolean {
  const family = (one: string): string => {
    if (/^ext[234]$/.test(one)) return 'ext'
    if (one.startsWith('ntfs')) return 'ntfs'
    return one === 'msdos' ? 'vfat' : one
  }
  return type === 'auto' || type.split(',').some((one) => family(one) === family(found))
}
