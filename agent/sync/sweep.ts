/**
 * Sends what is dirty: one walk over the marks of all disks, in order.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Reader } from './reader.ts'
import type { Sender } from './sender.ts'
import { pieceBatches } from './piece_batches.ts'
import type { PieceBatch } from './piece_batches.ts'
import { forEachAtOnce } from './scanner.ts'

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

/** Pieces marked now, a frame's worth at a time. */
function* dirtyPieces(
  disks: readonly DiskSync[],
  sender: Sender,
): Generator<{ disk: DiskSync; batch: PieceBatch }> {
  for (const disk of disks) {
    const { dirty, diskIndex } = disk
    const batches = pieceBatches(
      dirty.piecedBlocks(),
      (block) => dirty.piecesOf(block),
      (block) => sender.laneOf(diskIndex, block),
      sender.maxPiecesPerFrame,
    )
    for (const batch of batches) yield { disk, batch }
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
  // First the pieces: a block of which one can't be read is marked whole, and is dealt with below.
  await forEachAtOnce(dirtyPieces(disks, sender), sender.extentsAtOnce, async ({ disk, batch }) => {
    await reader.withPieces(disk, batch, (pieces, bytes) =>
      sender.sendPieces({ diskIndex: disk.diskIndex, pieces, bytes }),
    )
    blocks += batch.length
  })
  await forEachAtOnce(
    dirtyExtents(disks, sender.maxBlocksPerExtent),
    sender.extentsAtOnce,
    async ({ disk, extent }) => {
      await reader.withExtent(disk, extent, (own, bytes) =>
        sender.sendExtent({ diskIndex: disk.diskIndex, ...own, bytes, isBlank: false }),
      )
      blocks += extent.blockCount
    },
  )
  return blocks
}
