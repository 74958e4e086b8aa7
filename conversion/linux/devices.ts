/**
 * Device names that depend on the hardware, and the UUIDs that do not.
 * @module
 */
import type { FileSystem, Guest } from '../types.ts'

/** `/dev/sda1`, `/dev/vdb`, `/dev/xvda2`, `/dev/hda1`, `/dev/nvme0n1p3`: names that may change with the hardware. */
export const unstableDevice = /^\/dev\/(?:(?:[sv]|xv|h)d[a-z]+\d*|nvme\d+n\d+(?:p\d+)?)$/

const lettered = /^\/dev\/(?:[sv]|xv|h)d([a-z])(\d*)$/
const nvme = /^\/dev\/nvme(\d+)n\d+(?:p(\d+))?$/

/** The appliance's name of a device that the guest calls `device`: the same disk by position, the same partition. */
function applianceName(device: string): string | undefined {
  const byLetter = lettered.exec(device)
  if (byLetter !== null) return `/dev/sd${byLetter[1]}${byLetter[2]}`
  const byNumber = nvme.exec(device)
  if (byNumber === null) return undefined
  return `/dev/sd${String.fromCodePoint(97 + Number(byNumber[1]))}${byNumber[2] ?? ''}`
}

/** The file system that the guest mounts from `device` at `mountPoint`; undefined when it is not on the converted disks. */
export function fileSystemOf(guest: Guest, device: string, mountPoint: string): FileSystem | undefined {
  const byMountPoint = guest.fileSystems.find((own) => own.mountPoint === mountPoint)
  if (byMountPoint !== undefined) return byMountPoint
  const name = applianceName(device)
  return guest.fileSystems.find((own) => own.device === name)
}
