/**
 * Walks over all blocks of a disk: the initial sync, a rescan and a pass are one algorithm.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { AlignedPool } from '../disk/aligned_pool.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Reader } from './reader.ts'
import type { Sender } from './sender.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { hashBytes } from '../../wire/message.ts'
import { blockHashes, unknownHash } from '../../wire/hash.ts'
import { UnreadableSectorError } from '../disk/block_source.ts'

/** Blocks read at a time. */
const readBlocks = 16

/** Extents of a blank volume on their way at once: reading, hashing, compressing and sending overlap. */
const extentsAtOnce = 4

/**
 * Blocks dealt with in one step: 16 MiB. A slow source needs seconds for it, and between steps the trackers are asked, points are reached and
 * progress shows.
 */
const stepBlocks = 256

/** Moves the scan of one disk on, a step at a time. */
export class Scanner {
  readonly #reader: Reader
  readonly #pool: AlignedPool

  constructor(reader: Reader, pool: AlignedPool) {
    this.#reader = reader
    this.#pool = pool
  }

  /**
   * Deals with the next blocks of the scan under way.
   * @throws whatever reading or the session throws; the cursor then stays before what is not dealt with.
   */
  async step(disk: DiskSync, sender: Sender): Promise<void> {
    const scan = disk.scan
    if (scan === undefined) return
    const firstBlock = scan.cursor
    const end = Math.min(disk.blockCount, (Math.floor(firstBlock / stepBlocks) + 1) * stepBlocks)
    const region = { firstBlock, blockCount: end - firstBlock }
    if (scan.mode === 'BLANK') {
      // After a step that was cut short the volume may hold what a block was then: that it is zero now must be said.
      const isBlank = firstBlock >= scan.attemptedEnd
      scan.attemptedEnd = end
      await this.#sendRegion(disk, sender, region, isBlank)
    } else scan.differences += await this.#compareRegion(disk, sender, region)
    // A loss of certainty meanwhile has begun another scan, which starts at its own beginning.
    if (disk.scan === scan) scan.cursor = end
  }

  /** Sends a region; of zeros nothing is said where the volume is blank. */
  async #sendRegion(disk: DiskSync, sender: Sender, region: Extent, isBlank: boolean): Promise<void> {
    await forEachAtOnce(
      pieces(region, Math.min(readBlocks, sender.maxBlocksPerExtent)),
      extentsAtOnce,
      (piece) =>
        this.#reader.withExtent(disk, piece, (extent, bytes) =>
          sender.sendExtent({ diskIndex: disk.diskIndex, ...extent, bytes, isBlank }),
        ),
    )
  }

  /** Asks the replicator about the hashes of a region; what differs becomes dirty. Answers how many blocks do. */
  async #compareRegion(disk: DiskSync, sender: Sender, region: Extent): Promise<number> {
    const hashes = new Uint8Array(region.blockCount * hashBytes)
    await forEachAtOnce(pieces(region, readBlocks), 2, async (piece) => {
      const own = await this.#hashPiece(disk, piece)
      hashes.set(own, (piece.firstBlock - region.firstBlock) * hashBytes)
    })
    const bitmap = await sender.queryHashes({ diskIndex: disk.diskIndex, ...region, hashes })
    let differences = 0
    for (let index = 0; index < region.blockCount; index++) {
      if ((((bitmap[index >>> 3] ?? 0) >>> (index & 7)) & 1) === 0) continue
      disk.dirty.mark(region.firstBlock + index, 1)
      differences += 1
    }
    return differences
  }

  /** Hashes without clearing marks: nothing is sent, so nothing becomes clean. A block that cannot be read counts as different. */
  async #hashPiece(disk: DiskSync, piece: Extent): Promise<Uint8Array> {
    const slot = await this.#pool.acquire()
    try {
      const length = disk.lengthOf(piece)
      await disk.source.read(piece.firstBlock * blockSizeBytes, length, slot.bytes)
      return blockHashes(slot.bytes.subarray(0, length))
    } catch (error) {
      if (!(error instanceof UnreadableSectorError)) throw error
    } finally {
      slot.release()
    }
    if (piece.blockCount === 1) return unknownHash
    const hashes = new Uint8Array(piece.blockCount * hashBytes)
    for (let index = 0; index < piece.blockCount; index++) {
      const own = await this.#hashPiece(disk, { firstBlock: piece.firstBlock + index, blockCount: 1 })
      hashes.set(own, index * hashBytes)
    }
    return hashes
  }
}

/** An extent cut into pieces that end at multiples of `blocks`. */
export function* pieces(extent: Extent, blocks: number): Generator<Extent> {
  const end = extent.firstBlock + extent.blockCount
  for (let firstBlock = extent.firstBlock; firstBlock < end;) {
    const next = Math.min(end, (Math.floor(firstBlock / blocks) + 1) * blocks)
    yield { firstBlock, blockCount: next - firstBlock }
    firstBlock = next
  }
}

/**
 * Runs `work` on every item, `atOnce` of them at a time, begun in order. After a failure none is begun any more; it is thrown when those under way
 * have ended.
 */
export async function forEachAtOnce<T>(
  items: Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const failures: unknown[] = []
  const lane = async () => {
    while (failures.length === 0) {
      const next = iterator.next()
      if (next.done === true) return
      await work(next.value).catch((error: unknown) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  if (failures.length > 0) throw failures[0]
}
