/**
 * What a volume knows of its blocks: their hashes, read from the index, and from the data where the index does not know.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { blockCountOf } from '../domain/units.ts'
import { equalHashes, hashAt, RootHash, rootOf } from '../wire/hash.ts'
import { hashBytes } from '../wire/message.ts'
import { allDone } from './all_done.ts'
import type { HashedDisk } from './block_hashes.ts'
import { readHashes, runsOfUnknown } from './block_hashes.ts'
import { damagedHash, indexChunkBlocks, isHash } from './hash_index.ts'
import { checkStored } from './stored_data.ts'
import type { StoredBlocks } from './stored_data.ts'
import { extentsOf, VolumeDamage } from './volume_damage.ts'

/** Runs of blocks that are read at once when there is hurry. */
const readsAtOnce = 4

/** Runs `read` while nobody writes the blocks; its failure is the volume's. */
export type ReadInTurn = <T>(first: number, count: number, read: () => Promise<T>) => Promise<T>

/** The answer to the question whether data are as they should be. Bits as in {@link VolumeHashes.differences}. */
export interface Verified {
  root: Uint8Array
  differing: Uint8Array
  damaged: Uint8Array
}

function setBit(bitmap: Uint8Array, index: number): void {
  bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
}

/** The hashes of one volume. Its methods throw as `Volume.writeBlocks` does, and SHUTTING_DOWN when the volume is closed. */
export class VolumeHashes {
  readonly damage = new VolumeDamage()
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
      setBit(bitmap, index)
    }
    return bitmap
  }

  /** Reads the blocks again, whatever the index says: which of them have another hash than `hashes`, and which are damaged. */
  async verify(firstBlock: number, blockCount: number, hashes: Uint8Array): Promise<Verified> {
    const stored = await this.#check(firstBlock, blockCount)
    const answer = {
      root: rootOf(stored.hashes),
      differing: new Uint8Array(Math.ceil(blockCount / 8)),
      damaged: new Uint8Array(Math.ceil(blockCount / 8)),
    }
    for (let index = 0; index < blockCount; index++)
      if (!equalHashes(hashAt(stored.hashes, index), hashAt(hashes, index))) setBit(answer.differing, index)
    for (const index of stored.damaged) setBit(answer.damaged, index)
    return answer
  }

  /** Reads the blocks again and answers the extents that turned out to be damaged. */
  async scrub(firstBlock: number, blockCount: number): Promise<Extent[]> {
    const { found } = await this.#check(firstBlock, blockCount)
    return extentsOf(found.map((index) => firstBlock + index))
  }

  /**
   * BLAKE3 over the hashes of all blocks in order, in hexadecimal; of a volume without {@link damage} alone it means anything. Reading what is not known may take long: when `signal` aborts its
   * reason is thrown, and what was read is known.
   */
  async root(signal: AbortSignal): Promise<string> {
    const root = new RootHash()
    for (const { first, count } of this.#chunks()) {
      signal.throwIfAborted()
      const hashes = await this.#read(first, count)
      this.#noteDamage(first, hashes)
      root.update(hashes)
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
      const runs = await this.#inTurn(first, count, async () => {
        const hashes = await this.#disk.index.read(first, count)
        this.#noteDamage(first, hashes)
        return runsOfUnknown(hashes, first)
      })
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

  async #check(first: number, count: number): Promise<StoredBlocks> {
    return await this.#inTurn(first, count, async () => {
      const stored = await checkStored(this.#disk, first, count)
      for (const index of stored.damaged) this.damage.add(first + index)
      return stored
    })
  }

  /** Takes in what the index marks: found by an earlier run, or more than was kept in memory. */
  #noteDamage(first: number, hashes: Uint8Array): void {
    // One search through all of them costs next to nothing; volumes without damage are the rule.
    if (!Buffer.from(hashes.buffer, hashes.byteOffset, hashes.byteLength).includes(damagedHash)) return
    for (let index = 0; index * hashBytes < hashes.length; index++)
      if (isHash(hashes, index, damagedHash)) this.damage.add(first + index)
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
