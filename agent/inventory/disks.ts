/**
 * The disks of the machine, from `/sys/block` alone: which there are, how large, and why one is left out.
 * @module
 */
import type { SourceDisk } from '../../domain/source_server.ts'
import type { SystemFiles } from './system_files.ts'
import { sectorSizeBytes } from '../../domain/units.ts'
import { isMultipath } from './block_topology.ts'
import { diskIdentityOf } from './disk_identity.ts'

/** Names that say what a device is, and why such a device is not replicated. */
const leftOutByName: readonly { pattern: RegExp; because: string }[] = [
  { pattern: /^loop\d/, because: 'It is a loop device; the disk that holds its file is replicated' },
  { pattern: /^z?ram\d/, because: 'It is memory, not a disk' },
  { pattern: /^sr\d/, because: 'It is an optical drive' },
  { pattern: /^fd\d/, because: 'It is a floppy drive' },
  { pattern: /^mtdblock\d/, because: 'It is flash memory of the machine itself' },
  { pattern: /^(nbd|rbd|drbd)\d/, because: 'It is a network disk' },
  { pattern: /^dm-\d/, because: 'It is a device-mapper device; the disks under it are replicated' },
  { pattern: /^md/, because: 'It is a software RAID; the disks under it are replicated' },
  { pattern: /^bcache\d/, because: 'It is a cache; the disks under it are replicated' },
  { pattern: /^zd\d/, because: 'It is a volume of a ZFS pool; the disks of the pool are replicated' },
]

/** Devices no operator knows of: unused loop and memory devices, hidden paths of NVMe multipath. */
async function isInvisible(files: SystemFiles, name: string, sizeBytes: number): Promise<boolean> {
  if (sizeBytes === 0 && /^(loop|z?ram|nbd|fd|sr|md)\d/.test(name)) return true
  return (await files.readText(`/sys/block/${name}/hidden`)) === '1'
}

/** How an NVMe device is reached: `pcie`, `tcp`, `rdma`, `fc`; undefined for other devices. */
async function nvmeTransport(files: SystemFiles, name: string): Promise<string | undefined> {
  const direct = await files.readText(`/sys/block/${name}/device/transport`)
  if (direct !== undefined) return direct
  // With native multipath the device's parent is a subsystem, whose controllers carry the transport.
  const controllers = await files.list(`/sys/block/${name}/device`)
  for (const controller of controllers.filter((entry) => /^nvme\d+$/.test(entry))) {
    const transport = await files.readText(`/sys/block/${name}/device/${controller}/transport`)
    if (transport !== undefined) return transport
  }
  return undefined
}

/** The multipath device that `name` is a path of, as the operator knows it. */
async function multipathHolder(files: SystemFiles, name: string): Promise<string | undefined> {
  for (const holder of await files.list(`/sys/block/${name}/holders`)) {
    if (await isMultipath(files, holder)) return deviceNameOf(files, holder)
  }
  return undefined
}

/** `/dev/sda`; `/dev/mapper/mpatha` for a device-mapper device. `!` in a kernel name stands for `/`. */
async function deviceNameOf(files: SystemFiles, name: string): Promise<string> {
  const mapped = await files.readText(`/sys/block/${name}/dm/name`)
  return mapped === undefined ? `/dev/${name.replaceAll('!', '/')}` : `/dev/mapper/${mapped}`
}

/** Why disk `name` is left out; undefined when it is taken. */
async function leftOutBecause(
  files: SystemFiles,
  name: string,
  sizeBytes: number,
): Promise<string | undefined> {
  if (!(await isMultipath(files, name))) {
    const byName = leftOutByName.find((rule) => rule.pattern.test(name))
    if (byName !== undefined) return byName.because
  }
  const path = await multipathHolder(files, name)
  if (path !== undefined) return `It is a path of the multipath disk ${path}, which is replicated`
  const place = (await files.realPath(`/sys/block/${name}`)) ?? ''
  if (place.includes('/session')) return 'It is an iSCSI disk, reached over the network'
  const transport = name.startsWith('nvme') ? await nvmeTransport(files, name) : undefined
  if (transport !== undefined && ['tcp', 'rdma', 'fc', 'loop'].includes(transport)) {
    return `It is an NVMe disk reached over ${transport}, not a local one`
  }
  if (/\/usb\d/.test(place)) return 'It is a USB disk'
  if (sizeBytes === 0) return 'It has no medium'
  if ((await files.readText(`/sys/block/${name}/removable`)) === '1') return 'It is removable'
  return undefined
}

/** A disk with its name in the kernel. */
export interface FoundDisk extends SourceDisk {
  kernelName: string
}

/** All disks an operator would recognise, in the order of their names, with the reason for each that is left out. */
export async function readDisks(files: SystemFiles, bootDisk: string | undefined): Promise<FoundDisk[]> {
  const disks: FoundDisk[] = []
  for (const name of await files.list('/sys/block')) {
    const sizeBytes = Number((await files.readText(`/sys/block/${name}/size`)) ?? 0) * sectorSizeBytes
    if (await isInvisible(files, name, sizeBytes)) continue
    const deviceName = await deviceNameOf(files, name)
    const because = await leftOutBecause(files, name, sizeBytes)
    disks.push({
      kernelName: name,
      deviceName,
      sizeBytes,
      ...(await diskIdentityOf(files, name, deviceName)),
      isBootDisk: name === bootDisk,
      ...(because === undefined ? {} : { excludedBecause: because }),
    })
  }
  return disks.sort((a, b) => a.deviceName.localeCompare(b.deviceName, 'en', { numeric: true }))
}
