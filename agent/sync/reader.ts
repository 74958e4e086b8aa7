/**
 * Reads extents of a disk into memory of the pool: clear first, then read, and never lose an extent on the way.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { Clock } from '../clock.ts'
import type { AlignedPool } from '../disk/aligned_pool.ts'
import type { DiskSync } from './disk_sync.ts'
import type { PieceBatch } from './piece_batches.ts'
import { blockSizeBytes, pieceSizeBytes } from '../../domain/units.ts'
import { UnreadableSectorError } from '../disk/block_source.ts'
import { readPieces } from './piece_reader.ts'
import { numbersOf } from './piece_masks.ts'

/** Who wants to know of unreadable sectors. */
export interface ReaderContext {
  pool: AlignedPool
  clock: Clock
  /** Told each time the number of a disk's unreadable blocks has doubled. */
  onUnreadable(disk: DiskSync, error: UnreadableSectorError): void
}

/** Reads for all disks of the agent. */
export class Reader {
  readonly #context: ReaderContext

  constructor(context: ReaderContext) {
    this.#context = context
  }

  /**
   * Clears the marks of `extent`, reads it, and hands the bytes to `use`; the memory is free when `use` is done. Blocks with an unreadable sector
   * are set aside and the others handed over one by one. When reading or `use` fails, the marks are set again.
   */
  async withExtent(
    disk: DiskSync,
    extent: Extent,
    use: (extent: Extent, bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const slot = await this.#context.pool.acquire()
    disk.dirty.clear(extent.firstBlock, extent.blockCount)
    disk.bytesInHand += extent.blockCount * blockSizeBytes
    try {
      await this.#readAndUse(disk, extent, slot.bytes, use)
    } catch (error) {
      disk.dirty.mark(extent.firstBlock, extent.blockCount)
      throw error
    } finally {
      disk.bytesInHand -= extent.blockCount * blockSizeBytes
      slot.release()
    }
  }

  /**
   * Clears the marks of `batch`, reads those pieces that were still marked, and hands numbers and bytes to `use`; the memory is free when `use` is
   * done. A block of which a piece can't be read is marked whole instead. When reading or `use` fails, so is every block of the batch.
   */
  async withPieces(
    disk: DiskSync,
    batch: PieceBatch,
    use: (pieces: readonly number[], bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const slot = await this.#context.pool.acquire()
    const cleared = batch.map(([block, mask]) => [block, disk.dirty.clearPieces(block, mask)] as const)
    const pieces = cleared.flatMap(([block, mask]) => [...numbersOf(block, mask)])
    const inHand = pieces.length * pieceSizeBytes
    disk.bytesInHand += inHand
    try {
      const read = await readPieces(disk, pieces, slot.bytes)
      for (const block of read.unreadable) disk.dirty.mark(block, 1)
      if (read.pieces.length > 0) await use(read.pieces, read.bytes)
    } catch (error) {
      for (const [block, mask] of cleared) if (mask !== 0) disk.dirty.mark(block, 1)
      throw error
    } finally {
      disk.bytesInHand -= inHand
      slot.release()
    }
  }

  async #readAndUse(
    disk: DiskSync,
    extent: Extent,
    memory: Uint8Array,
    use: (extent: Extent, bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const length = disk.lengthOf(extent)
    try {
      await disk.source.read(extent.firstBlock * blockSizeBytes, length, memory)
    } catch (error) {
      if (!(error instanceof UnreadableSectorError)) throw error
      await this.#setAside(disk, extent, error, memory, use)
      return
    }
    disk.markReadable(extent)
    await use(extent, memory.subarray(0, length))
  }

  /** One block failed: it is set aside; the others are read one by one. */
  async #setAside(
    disk: DiskSync,
    extent: Extent,
    error: UnreadableSectorError,
    memory: Uint8Array,
    use: (extent: Extent, bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    if (extent.blockCount === 1) {
      const isNew = disk.markUnreadable(extent.firstBlock, error, this.#context.clock.monotonicMs())
      // Told at the first, second, fourth …: a dying disk must not fill log and dashboard.
      if (isNew && Number.isInteger(Math.log2(disk.unreadableCount))) this.#context.onUnreadable(disk, error)
      return
    }
    for (let index = 0; index < extent.blockCount; index++) {
      await this.#readAndUse(disk, { firstBlock: extent.firstBlock + index, blockCount: 1 }, memory, use)
    }
  }
}
