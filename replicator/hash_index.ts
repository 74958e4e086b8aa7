/**
 * The hash index: 32 bytes for each block of a volume, in a file beside its data, so that a rescan need not read the data. It is never
 * held in memory; the operating system caches what is used.
 *
 * Blocks that are written in pieces lose their entry each time. That is only noted, in a bit, and reaches the file when they are saved:
 * until then their segment is active, so that an unclean end makes the entry unknown anyway.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { hashBytes } from '../wire/message.ts'
import { unknownHash, zeroHash } from '../wire/hash.ts'
import { allDone } from './all_done.ts'
import { Coalescer } from './coalescer.ts'
import { readFully, writeFully } from './disk.ts'
import type { Disk } from './disk.ts'
import { Doubts } from './doubts.ts'

/**
 * The entry of a block whose data are not what was written there: it equals no block's hash. It stays through everything but a write of
 * the whole block, a restart included, so that the agent is asked for the block until it has come.
 */
export const damagedHash = Buffer.alloc(hashBytes, 0xfe)

/** Entries that are read or written at once: 128 KiB, the hashes of 256 MiB. */
export const indexChunkBlocks = 4096

/** Runs of unknown entries written at once: a disk that is written all over in pieces has many, and a clean point waits for them. */
const savesAtOnce = 8

/** Bytes of the index of `blockCount` blocks. */
export function indexBytes(blockCount: number): number {
  return blockCount * hashBytes
}

/** Positions in `hashes` of a given hash. */
export function isHash(hashes: Uint8Array, index: number, hash: Uint8Array): boolean {
  const start = index * hashBytes
  return Buffer.compare(hashes.subarray(start, start + hashBytes), hash) === 0
}

/** Makes `count` entries from position `start` unknown, but for those of damaged blocks: pieces of a block do not mend it. */
function forgetUndamaged(hashes: Uint8Array, start: number, count: number): void {
  for (let index = start; index < start + count; index++)
    if (!isHash(hashes, index, damagedHash)) hashes.set(unknownHash, index * hashBytes)
}

/** Entry by entry: a block's hash, {@link zeroHash}, {@link unknownHash} or {@link damagedHash}. A new file, all zero, says that every block is zero. */
export class HashIndex {
  readonly #disk: Disk
  /** Unknown, whatever the file says. */
  readonly doubts = new Doubts()
  readonly #flush = new Coalescer(() => this.#unlessFailed(() => this.#disk.flush()))
  #saving: Promise<unknown> = Promise.resolve()
  /** Of the first flush or save that failed. */
  #failure: { error: unknown } | undefined

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** The entries of `count` blocks from `first`, in memory of their own. Ask for {@link indexChunkBlocks} at most. */
  async read(first: number, count: number): Promise<Uint8Array> {
    const hashes = Buffer.allocUnsafe(indexBytes(count))
    await readFully(this.#disk, hashes, indexBytes(first))
    for (const run of this.doubts.within({ firstBlock: first, blockCount: count })) {
      forgetUndamaged(hashes, run.firstBlock - first, run.blockCount)
    }
    return hashes
  }

  /** Sets the entries from block `first`. An entry never crosses a sector or page, so an unclean end leaves the old or the new one. */
  async write(first: number, hashes: Uint8Array): Promise<void> {
    await writeFully(this.#disk, hashes, indexBytes(first))
    // Only now: had it failed, the file would say what it said before.
    this.doubts.delete({ firstBlock: first, blockCount: hashes.length / hashBytes })
  }

  /**
   * Makes entries unknown at once, without writing. The segment of the blocks is active, and {@link save} comes before it no longer is.
   */
  doubt(extent: Extent): void {
    this.doubts.add(extent)
  }

  /** Sets `count` entries to unknown, but for those of damaged blocks: that these are wrong stays known. */
  async forget(first: number, count: number): Promise<void> {
    for (let done = 0; done < count; done += indexChunkBlocks) {
      const length = Math.min(count - done, indexChunkBlocks)
      const hashes = await this.read(first + done, length)
      forgetUndamaged(hashes, 0, length)
      await this.write(first + done, hashes)
    }
  }

  /** Sets `count` entries to zero. */
  async zero(first: number, count: number): Promise<void> {
    await this.#fill(first, count, zeroHash)
  }

  async #fill(first: number, count: number, hash: Uint8Array): Promise<void> {
    const hashes = Buffer.alloc(indexBytes(Math.min(count, indexChunkBlocks)), hash)
    for (let done = 0; done < count; done += indexChunkBlocks) {
      const length = Math.min(count - done, indexChunkBlocks)
      await this.write(first + done, hashes.subarray(0, indexBytes(length)))
    }
  }

  /**
   * What was written before the call is durable when it resolves. @throws Error of the disk, from then on always: a later flush may succeed
   * having forgotten what this one could not write.
   */
  flush(): Promise<void> {
    return this.#flush.run()
  }

  /**
   * As {@link flush}, and of `extents`, one after the other, what was doubted is durable too, as long as that takes no more than `mostWrites`: a disk
   * that is written all over in pieces would make as many small writes again as its data has.
   * @returns the extents of which it is.
   */
  save(extents: readonly Extent[], mostWrites: number): Promise<ReadonlySet<Extent>> {
    // One after the other: what an earlier one has taken off is not in the file before it has ended.
    const save = (): Promise<ReadonlySet<Extent>> =>
      this.#unlessFailed(() => this.#saveDoubts(extents, mostWrites))
    const saving = this.#saving.then(save, save)
    this.#saving = saving
    return saving
  }

  async #unlessFailed<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure.error
    try {
      return await work()
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  async #saveDoubts(extents: readonly Extent[], mostWrites: number): Promise<ReadonlySet<Extent>> {
    const saved = new Set<Extent>()
    const taken: Extent[] = []
    for (const extent of extents) {
      // Taken off before they are written: one that is doubted anew meanwhile must be written anew.
      const runs = this.doubts.takeUnsaved(extent, mostWrites - taken.length)
      if (runs === undefined) continue
      saved.add(extent)
      taken.push(...runs)
    }
    const next = taken.values()
    const lane = async (): Promise<void> => {
      for (const { firstBlock, blockCount } of next) await this.#saveDoubt(firstBlock, blockCount)
    }
    await allDone(Array.from({ length: savesAtOnce }, lane))
    await this.flush()
    return saved
  }

  /**
   * Should a hash be written at the same time, either may stay in the file: unknown is never wrong. Damaged entries are not written, as their
   * block may be coming just now.
   */
  async #saveDoubt(first: number, count: number): Promise<void> {
    const hashes = Buffer.allocUnsafe(indexBytes(count))
    await readFully(this.#disk, hashes, indexBytes(first))
    for (let start = 0; start < count; start++) {
      let end = start
      while (end < count && !isHash(hashes, end, damagedHash)) end++
      if (end === start) continue
      forgetUndamaged(hashes, start, end - start)
      await writeFully(
        this.#disk,
        hashes.subarray(indexBytes(start), indexBytes(end)),
        indexBytes(first + start),
      )
      start = end
    }
  }

  async close(): Promise<void> {
    await this.#disk.close()
  }
}
