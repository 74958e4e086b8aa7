/**
 * Which mounted file systems lie on the replicated disks, and in which order they are frozen.
 * @module
 */
import type { Mount } from '../inventory/block_topology.ts'
import type { SystemFiles } from '../inventory/system_files.ts'
import { disksOfMount, readMounts } from '../inventory/block_topology.ts'

/** File systems whose kernel code can be frozen; others (vfat above all) are only flushed. */
const freezable = new Set([
  'ext2',
  'ext3',
  'ext4',
  'xfs',
  'btrfs',
  'f2fs',
  'jfs',
  'nilfs2',
  'reiserfs',
  'gfs2',
])

/** Mount points by what is done to them. */
export interface FreezePlan {
  /** In the order of freezing: the deepest first, the root last. */
  freeze: string[]
  /** Only flushed. */
  flushOnly: string[]
}

/** How deep a mount point lies: 0 for the root. */
function depthOf(mountPoint: string): number {
  return mountPoint.split('/').filter((part) => part !== '').length
}

/** The shallowest mount of each file system: one file system is frozen once, however often it is mounted. */
function onePerFileSystem(mounts: readonly Mount[]): Mount[] {
  const chosen = new Map<string, Mount>()
  for (const mount of mounts) {
    const known = chosen.get(mount.deviceNumber)
    if (known === undefined || depthOf(mount.mountPoint) < depthOf(known.mountPoint))
      chosen.set(mount.deviceNumber, mount)
  }
  return [...chosen.values()]
}

/**
 * The plan for the disks with these kernel names. File systems mounted read-only are left out, and so are mount points that a later mount hides: a
 * path no longer leads to them.
 */
export async function planFreeze(files: SystemFiles, kernelNames: ReadonlySet<string>): Promise<FreezePlan> {
  const all = await readMounts(files)
  const visible = all.filter(
    (mount, index) => !all.slice(index + 1).some((later) => later.mountPoint === mount.mountPoint),
  )
  const plan: FreezePlan = { freeze: [], flushOnly: [] }
  for (const mount of onePerFileSystem(visible.filter((candidate) => !candidate.isReadOnly))) {
    const disks = await disksOfMount(files, mount)
    if (![...disks].some((disk) => kernelNames.has(disk))) continue
    if (freezable.has(mount.fileSystem)) plan.freeze.push(mount.mountPoint)
    else plan.flushOnly.push(mount.mountPoint)
  }
  plan.freeze.sort((a, b) => depthOf(b) - depthOf(a) || a.localeCompare(b))
  return plan
}
