/**
 * The ways in which a guest names its disks, and the file systems they mean.
 * @module
 */
import type { FileSystem, Guest } from '../types.ts'

/**
 * `/dev/sda1`, `/dev/vdb`, `/dev/xvda2`, `/dev/hda1`, `/dev/nvme0n1p3`, `/dev/disk/by-path/…`, `/dev/disk/by-id/…`: names that follow the
 * hardware and change with it.
 */
export const unstableDevice =
  /^\/dev\/(?:(?:[sv]|xv|h)d[a-z]+\d*|nvme\d+n\d+(?:p\d+)?|disk\/by-(?:path|id)\/.+)$/

const lettered = /^\/dev\/(?:[sv]|xv|h)d([a-z])(\d*)$/
const nvme = /^\/dev\/nvme(\d+)n\d+(?:p(\d+))?$/

/** What names a file system is given. */
type Names = Pick<Guest, 'fileSystems' | 'sourceDeviceNames'>

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
  const mapped = /^\/dev\/mapper\/((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(device)
  const plain = (name: string | undefined): string => (name ?? '').replaceAll('--', '-')
  return mapped === null ? device : `/dev/${plain(mapped[1])}/${plain(mapped[2])}`
}

/**
 * The file system that the guest names by `source`, the first field of fstab or the value of `root=`; undefined when it is on none of the
 * converted disks. `type` guards against a wrong guess: what is mounted as xfs is not on an ext4 partition.
 */
export function resolveSource(names: Names, source: string, type = 'auto'): FileSystem | undefined {
  const { fileSystems } = names
  const value = source.slice(source.indexOf('=') + 1).replaceAll(/^"|"$/g, '')
  const same = (left: string): boolean => left !== '' && left.toLowerCase() === value.toLowerCase()
  if (source.startsWith('UUID=')) return fileSystems.find(({ uuid }) => same(uuid))
  if (source.startsWith('LABEL=')) return fileSystems.find(({ label }) => label !== '' && label === value)
  if (source.startsWith('PARTUUID=')) return fileSystems.find(({ partUuid }) => same(partUuid))
  if (source.startsWith('PARTLABEL='))
    return fileSystems.find(({ partLabel }) => partLabel !== '' && partLabel === value)
  const byUuid = '/dev/disk/by-uuid/'
  if (source.startsWith(byUuid)) return resolveSource(names, `UUID=${source.slice(byUuid.length)}`)
  const name = unstableDevice.test(source) ? applianceName(names, source) : volumeName(source)
  const found = fileSystems.find(({ device }) => device === name)
  return found === undefined || type === 'auto' || sameType(found.type, type) ? found : undefined
}

function sameType(found: string, wanted: string): boolean {
  const family = (type: string): string => (/^ext[234]$/.test(type) ? 'ext' : type)
  return wanted.split(',').some((one) => family(one) === family(found))
}
