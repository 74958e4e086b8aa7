/**
 * How full the disks are, as far as mounted file systems tell: for forecasts and for people, never for what is copied. Swap, partitions that are not
 * mounted and space outside of partitions are not known, nor file systems whose place on their disks the kernel does not tell.
 *
 * Asking a file system can hang for as long as its disk does. So another process asks, and nothing waits for it that replication needs; and no path is
 * walked that leads over a file system of the network or of a program.
 * @module
 */
import type { DiskUsage, SourceDisk } from '../../domain/source_server.ts'
import type { CommandRunner } from '../run_command.ts'
import type { Mount } from './block_topology.ts'
import type { SystemFiles } from './system_files.ts'
import { devicesOf, readMounts } from './block_topology.ts'
import { sharesUnder } from './block_shares.ts'

/** A file system that has not answered by then is not known. */
const answerMs = 5000

/** A machine has fewer of them. */
const maxFileSystems = 200

/** File systems without a block device that live in the kernel alone, or on disks: a path over them leads nowhere else. */
const plainFileSystems = new Set(['btrfs', 'devtmpfs', 'overlay', 'ramfs', 'rootfs', 'tmpfs', 'zfs'])

/** How full each of `disks` is, by device name; those of which nothing is known are left out. */
export async function readUsedBytes(
  files: SystemFiles,
  run: CommandRunner,
  disks: readonly SourceDisk[],
): Promise<Map<string, DiskUsage>> {
  const kernelNames = new Map<string, SourceDisk>()
  for (const disk of disks) {
    const path = await files.realPath(disk.deviceName)
    if (disk.excludedBecause === undefined && path?.startsWith('/dev/') === true)
      kernelNames.set(path.slice('/dev/'.length).replaceAll('/', '!'), disk)
  }
  const found = new Map<string, DiskUsage>()
  for (const [device, mountPoint] of await askedMounts(files)) {
    const shares = await sharesUnder(files, device)
    const own = [...(shares ?? [])].flatMap(([name, share]) => {
      const disk = kernelNames.get(name)
      return disk === undefined ? [] : [{ disk, share }]
    })
    // One that is not, or not only, on disks that are replicated may be reached over the network.
    if (shares === undefined || own.length < shares.size) continue
    const usage = await usageOf(run, mountPoint)
    if (usage === undefined) continue
    for (const { disk, share } of own) {
      const before = found.get(disk.deviceName) ?? { usedBytes: 0, fileSystemBytes: 0 }
      const fileSystemBytes = Math.min(
        disk.sizeBytes,
        Math.round(before.fileSystemBytes + share * usage.fileSystemBytes),
      )
      const usedBytes = Math.min(fileSystemBytes, Math.round(before.usedBytes + share * usage.usedBytes))
      found.set(disk.deviceName, { usedBytes, fileSystemBytes })
    }
  }
  return found
}

/** One mount point for each block device with a mounted file system, by the device's kernel name: bind mounts and subvolumes show the same one. */
async function askedMounts(files: SystemFiles): Promise<Map<string, string>> {
  const mounts = await readMounts(files)
  const places = placesOf(mounts)
  const asked = new Map<string, string>()
  const seen = new Set<string>()
  for (const [index, mount] of mounts.entries()) {
    if (asked.size >= maxFileSystems) break
    if (isAnonymous(mount) && mount.fileSystem !== 'btrfs') continue
    // Each subvolume of btrfs has a number of its own.
    const name = isAnonymous(mount) ? mount.source : mount.deviceNumber
    if (seen.has(name) || !isReached(mount, index, places)) continue
    seen.add(name)
    const [device, ...others] = await devicesOf(files, mount)
    // Over several devices btrfs keeps one copy of its data or more, which only btrfs tells.
    if (device !== undefined && others.length === 0 && !asked.has(device)) asked.set(device, mount.mountPoint)
  }
  return asked
}

/** Without a block device of its own. */
function isAnonymous({ deviceNumber }: Mount): boolean {
  return deviceNumber.startsWith('0:')
}

/** What is mounted at one folder. */
interface Place {
  /** Place of the last mount there in the list of all. */
  last: number
  /** Something there may have to be waited for. */
  isDoubtful: boolean
}

/** What is mounted where, by folder. A machine with containers has thousands of mounts: each is looked for by name, not held against all others. */
function placesOf(mounts: readonly Mount[]): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>()
  for (const [index, mount] of mounts.entries()) {
    const isDoubtful = isAnonymous(mount) && !plainFileSystems.has(mount.fileSystem)
    const known = places.get(mount.mountPoint)
    places.set(mount.mountPoint, { last: index, isDoubtful: isDoubtful || known?.isDoubtful === true })
  }
  return places
}

/** Whether the mount point leads to this very mount, and over nothing on its way that may have to be waited for. */
function isReached({ mountPoint }: Mount, index: number, places: ReadonlyMap<string, Place>): boolean {
  for (let folder = mountPoint; ;) {
    const place = places.get(folder)
    // A later mount at it or above it hides it.
    if (place !== undefined && place.last > index) return false
    if (place?.isDoubtful === true && folder !== mountPoint) return false
    const end = folder.lastIndexOf('/')
    if (folder === '/' || end < 0) return true
    folder = end === 0 ? '/' : folder.slice(0, end)
  }
}

async function usageOf(run: CommandRunner, mountPoint: string): Promise<DiskUsage | undefined> {
  const args = ['-f', '-c', '%S %b %f', '--', mountPoint]
  const answer = await run('stat', args, answerMs).catch(() => '')
  const [blockBytes = NaN, blocks = NaN, freeBlocks = NaN] = answer.trim().split(' ').map(Number)
  const fileSystemBytes = blockBytes * blocks
  const usedBytes = blockBytes * (blocks - freeBlocks)
  return fileSystemBytes > 0 && usedBytes >= 0 && Number.isSafeInteger(fileSystemBytes)
    ? { usedBytes, fileSystemBytes }
    : undefined
}
