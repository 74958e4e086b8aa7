/**
 * What a volume knows of its blocks: their hashes, read from the index, and from the data where the index does not know.
 * @module
 */
import { blockCountOf } from '../domain/units.ts'
import { equalHashes, hashAt, RootHash } from '../wire/hash.ts'
import { allDone } from './all_done.ts'
import type { HashedDisk } from './block_hashes.ts'
import { readHashes, unknownRuns } from './block_hashes.ts'
import { indexChunkBlocks } from './hash_index.ts'

/** Runs of blocks that are read at once when there is hurry. */
const readsAtOnce = 4

/** Runs `read` while nobody writes the blocks; its failure is the volume's. */
export type ReadInTurn = <T>(first: number, count: number, read: () => Promise<T>) => Promise<T>

/** The hashes of one volume. Its methods throw as `Volume.writeBlocks` does, and SHUTTING_DOWN when the volume is closed. */
export class VolumeHashes {
  readonly #disk: HashedDisk
  readonly #inTurn: ReadInTurn

  constructor(disk: HashedDisk, inTurn: ReadInTurn) {
    this.#disk = disk
    this.#inTurn = inTurn
  }

  /** Which of the blocks differ from `hashes`: bit i, least significant first, for block `firstBlock + i`. They are on the disk. */
  async differences(firstBlock: number, blockCount: number, hashes: Uint8Array): Promise<Uint8Array> {
    const own = await this.#read(firstBlock, blockCount)
    const bitmap = new Uint8Array(Math.ceil(blockCount / 8))
    for (let index = 0; index < blockCount; index++) {
      if (equalHashes(hashAt(own, index), hashAt(hashes, index))) continue
      bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
    }
    return bitmap
  }

  /**
   * BLAKE3 over the hashes of all blocks in order, in hexadecimal. Reading what is not known may take long: when `signal` aborts its
   * reason is thrown, and what was read is known.
   */
  async root(signal: AbortSignal): Promise<string> {
    const root = new RootHash()
    for (const { first, count } of this.#chunks()) {
      signal.throwIfAborted()
      root.update(await this.#read(first, count))
    }
    return root.digest()
  }

  /**
   * Reads the blocks that are not known, so that {@link root} need not, extent by extent: writes go between them. `onUnknown` is called
   * when the first is found.
   * @returns how many there were.
   */
  async learn(onUnknown: () => void): Promise<number> {
    let learnt = 0
    for (const { first, count } of this.#chunks()) {
      const runs = await this.#inTurn(first, count, () => unknownRuns(this.#disk.index, first, count))
      for (const { firstBlock, blockCount } of runs) {
        if (learnt === 0) onUnknown()
        await this.#read(firstBlock, blockCount)
        learnt += blockCount
      }
    }
    return learnt
  }

  /** Whether there are blocks whose hashes are not known because pieces of them were written. */
  get hasDoubts(): boolean {
    return this.#disk.index.doubts.count > 0
  }

  /**
   * Reads blocks whose pieces were written, so that {@link root} need not, as {@link learn} does; call it about once a second. Those that
   * were written to in the last seconds are left for later, and no more than `mostBlocks` are read.
   */
  async learnQuiet(mostBlocks: number): Promise<void> {
    const { doubts } = this.#disk.index
    doubts.tick()
    let left = mostBlocks
    for (const { firstBlock, blockCount } of doubts.quietRuns()) {
      if (left <= 0) return
      await this.#read(firstBlock, blockCount)
      left -= blockCount
    }
  }

  /** Reads all blocks whose pieces were written, those of just now too: a consistency point is near. */
  async learnDoubts(): Promise<void> {
    const runs = this.#disk.index.doubts.runs()
    const lane = async (): Promise<void> => {
      for (const { firstBlock, blockCount } of runs) await this.#read(firstBlock, blockCount)
    }
    await allDone(Array.from({ length: readsAtOnce }, lane))
  }

  async #read(first: number, count: number): Promise<Uint8Array> {
    return await this.#inTurn(first, count, () => readHashes(this.#disk, first, count))
  }

  /** All blocks, in pieces of what is read of the index at once. */
  *#chunks(): Generator<{ first: number; count: number }> {
    const blockCount = blockCountOf(this.#disk.sizeBytes)
    for (let first = 0; first < blockCount; first += indexChunkBlocks)
      yield { first, count: Math.min(indexChunkBlocks, blockCount - first) }
  }
}
