/**
 * Sends what is dirty: one walk over the marks of all disks, in order.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Reader } from './reader.ts'
import type { Sender } from './sender.ts'
import { forEachAtOnce } from './scanner.ts'

const extentsAtOnce = 4

/** Blocks marked now, one extent after the other; marks that come meanwhile ahead of the position are taken along. */
function* dirtyExtents(
  disks: readonly DiskSync[],
  maxBlocks: number,
): Generator<{ disk: DiskSync; extent: Extent }> {
  for (const disk of disks) {
    // Extents keep to borders of 1 MiB, so that they stay inside a region.
    for (const extent of disk.dirty.extents(0, maxBlocks, 16)) yield { disk, extent }
  }
}

/**
 * Sends every block that was dirty when it began, and perhaps some that became so since. When everything sent up to its end is durable, so is
 * every change that was known at its beginning: that is what lag is measured by.
 *
 * @returns blocks sent.
 */
export async function sweep(disks: readonly DiskSync[], sender: Sender, reader: Reader): Promise<number> {
  let blocks = 0
  await forEachAtOnce(
    dirtyExtents(disks, sender.maxBlocksPerExtent),
    extentsAtOnce,
    async ({ disk, extent }) => {
      await reader.withExtent(disk, extent, (own, bytes) =>
        sender.sendExtent({ diskIndex: disk.diskIndex, ...own, bytes, isBlank: false }),
      )
      blocks += extent.blockCount
    },
  )
  return blocks
}
