/**
 * Walks over all blocks of a disk: the initial sync, a rescan and a pass are one algorithm.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { Clock } from '../clock.ts'
import type { AlignedPool } from '../disk/aligned_pool.ts'
import type { HashThreads } from '../disk/hash_threads.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Reader } from './reader.ts'
import type { Scan } from './scan.ts'
import type { Sender } from './sender.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { hashBytes } from '../../wire/message.ts'
import { blockHashes, unknownHash } from '../../wire/hash.ts'
import { UnreadableSectorError } from '../disk/block_source.ts'
import { Comparison } from './comparison.ts'

/** Blocks read at a time. */
const readBlocks = 16

/** Pieces read at once where the agent's own thread hashes them. */
const piecesAtOnce = 2

/**
 * For so long one step begins to read; what is under way then is finished. Between steps the trackers are asked, changes sent, points reached, and
 * progress shows. A step's begin and end keep nobody busy, so it must not be short either.
 */
const stepMs = 200

/** What the scanner works with. */
export interface ScannerContext {
  reader: Reader
  pool: AlignedPool
  clock: Clock
  /** Read and hash for comparisons; without them the agent's own thread does. */
  hashThreads?: HashThreads | undefined
}

/** Moves the scan of one disk on, a step at a time. */
export class Scanner {
  readonly #context: ScannerContext

  constructor(context: ScannerContext) {
    this.#context = context
  }

  /**
   * Deals with the next blocks of the scan under way.
   * @throws whatever reading or the session throws; the cursor then stays before what is not dealt with.
   */
  async step(disk: DiskSync, sender: Sender): Promise<void> {
    const scan = disk.scan
    if (scan === undefined) return
    const { clock } = this.#context
    const beginMs = clock.monotonicMs()
    const walk = new Walk(disk, scan, clock)
    if (scan.mode === 'BLANK') await this.#send(walk, sender)
    else scan.differences += await this.#compare(walk, sender)
    // A loss of certainty meanwhile has begun another scan, which starts at its own beginning.
    if (disk.scan === scan) scan.cursor = walk.end
    scan.walkedMs += clock.monotonicMs() - beginMs
  }

  /** Sends everything; of zeros nothing is said where the volume is blank. */
  async #send(walk: Walk, sender: Sender): Promise<void> {
    const { disk } = walk
    await forEachAtOnce(
      walk.blankPieces(Math.min(readBlocks, sender.maxBlocksPerExtent)),
      sender.extentsAtOnce,
      ({ piece, isBlank }) =>
        this.#context.reader.withExtent(disk, piece, (extent, bytes) =>
          sender.sendExtent({ diskIndex: disk.diskIndex, ...extent, bytes, isBlank }),
        ),
    )
  }

  /** Asks the replicator about the hashes; what differs becomes dirty. Answers how many blocks do. */
  #compare(walk: Walk, sender: Sender): Promise<number> {
    const { disk } = walk
    const hash = (piece: Extent) => this.hashPiece(disk, piece)
    return new Comparison({ disk, sender, hash, piecesAtOnce: this.piecesAtOnce(disk) }).compare(
      walk.pieces(readBlocks),
    )
  }

  /** How many calls of {@link hashPiece} overlap best. */
  piecesAtOnce({ source }: DiskSync): number {
    const { hashThreads } = this.#context
    return source.fd === undefined || hashThreads === undefined ? piecesAtOnce : hashThreads.jobsAtOnce
  }

  /**
   * Hashes at most 16 blocks without clearing marks: nothing is sent, so nothing becomes clean. A block that cannot be read has `unknownHash`. By
   * a thread; what no thread can read, and every disk without an open file, by this one.
   */
  async hashPiece(disk: DiskSync, piece: Extent): Promise<Uint8Array> {
    const { fd } = disk.source
    const offsetBytes = piece.firstBlock * blockSizeBytes
    const byThread =
      fd === undefined
        ? undefined
        : await this.#context.hashThreads?.hash(fd, offsetBytes, disk.lengthOf(piece))
    return byThread ?? this.#hashHere(disk, piece)
  }

  async #hashHere(disk: DiskSync, piece: Extent): Promise<Uint8Array> {
    const slot = await this.#context.pool.acquire()
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
      const own = await this.#hashHere(disk, { firstBlock: piece.firstBlock + index, blockCount: 1 })
      hashes.set(own, index * hashBytes)
    }
    return hashes
  }
}

/** What one step walks over: pieces from the cursor on, as many as are begun in its time, and at least one. */
class Walk {
  readonly disk: DiskSync
  /** Blocks before it were begun. */
  end: number
  readonly #scan: Scan
  readonly #clock: Clock
  readonly #until: number

  constructor(disk: DiskSync, scan: Scan, clock: Clock) {
    this.disk = disk
    this.end = scan.cursor
    this.#scan = scan
    this.#clock = clock
    this.#until = clock.monotonicMs() + stepMs
  }

  *pieces(blocks: number): Generator<Extent> {
    const firstBlock = this.#scan.cursor
    const rest = { firstBlock, blockCount: this.disk.blockCount - firstBlock }
    for (const piece of pieces(rest, blocks)) {
      this.end = piece.firstBlock + piece.blockCount
      yield piece
      // Another scan has begun: it walks over all of this again.
      if (this.#clock.monotonicMs() >= this.#until || this.disk.scan !== this.#scan) return
    }
  }

  /** The same for a blank volume. After a step that was cut short it may hold what a block was then: that it is zero now must be said. */
  *blankPieces(blocks: number): Generator<{ piece: Extent; isBlank: boolean }> {
    const scan = this.#scan
    for (const piece of this.pieces(blocks)) {
      const isBlank = piece.firstBlock >= scan.attemptedEnd
      this.disk.attempt(scan, this.end)
      yield { piece, isBlank }
    }
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
