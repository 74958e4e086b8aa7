/**
 * Reads extents of a disk into memory of the pool: clear first, then read, and never lose an extent on the way.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { Clock } from '../clock.ts'
import type { AlignedPool } from '../disk/aligned_pool.ts'
import type { DiskSync } from './disk_sync.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { UnreadableSectorError } from '../disk/block_source.ts'

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
    disk.blocksInHand += extent.blockCount
    try {
      await this.#readAndUse(disk, extent, slot.bytes, use)
    } catch (error) {
      disk.dirty.mark(extent.firstBlock, extent.blockCount)
      throw error
    } finally {
      disk.blocksInHand -= extent.blockCount
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
