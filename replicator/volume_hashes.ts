/**
 * What a volume knows of its blocks: their hashes, read from the index, and from the data where the index does not know.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { blockCountOf, blockSizeBytes } from '../domain/units.ts'
import type { UnreadBlocks } from '../domain/unread_blocks.ts'
import { equalHashes, hashAt, RootHash, rootOf, unknownHash } from '../wire/hash.ts'
import { hashBytes } from '../wire/message.ts'
import { allDone } from './all_done.ts'
import type { HashedDisk } from './block_hashes.ts'
import { readHashes, runsOfUnknown } from './block_hashes.ts'
import { damagedHash, indexChunkBlocks, isHash } from './hash_index.ts'
import { ReadSpeed } from './read_speed.ts'
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

const unknownEntry = Buffer.from(unknownHash)

/** Whether `hash` is anywhere in `hashes`, perhaps not as an entry: one search costs next to nothing, and mostly it is not. */
function mayHave(hashes: Uint8Array, hash: Buffer): boolean {
  return Buffer.from(hashes.buffer, hashes.byteOffset, hashes.byteLength).includes(hash)
}

function setBit(bitmap: Uint8Array, index: number): void {
  bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
}

/** The hashes of one volume. Its methods throw as `Volume.writeBlocks` does, and SHUTTING_DOWN when the volume is closed. */
export class VolumeHashes {
  readonly damage = new VolumeDamage()
  readonly #disk: HashedDisk
  readonly #inTurn: ReadInTurn
  readonly #speed = new ReadSpeed()
  /** Blocks from the begin whose entries were looked at since the volume was opened: what is unknown of them is in doubt. */
  #lookedAtBlocks = 0
  #finding: Promise<number> | undefined
  readonly #onDamaged: (found: readonly Extent[]) => void

  /** @param options.onDamaged told once of blocks that are found damaged. */
  constructor(options: {
    disk: HashedDisk
    inTurn: ReadInTurn
    onDamaged: (found: readonly Extent[]) => void
  }) {
    this.#disk = options.disk
    this.#inTurn = options.inTurn
    this.#onDamaged = options.onDamaged
  }

  /** Blocks turned out to be damaged, which the index marks: at ascending `positions` from block `first`. */
  found(first: number, positions: readonly number[]): void {
    if (positions.length === 0) return
    const blocks = positions.map((position) => first + position)
    for (const block of blocks) this.damage.add(block)
    this.#onDamaged(extentsOf(blocks))
  }

  /** The hashes of blocks that nobody writes while they are read, see {@link readHashes}. */
  async known(first: number, count: number): Promise<Uint8Array> {
    const { hashes, found } = await readHashes(this.#disk, first, count)
    this.found(first, found)
    return hashes
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
   * BLAKE3 over the hashes of all blocks in order, in hexadecimal; undefined while not all of them are known. Of a volume without
   * {@link damage} alone it means anything. When `signal` aborts its reason is thrown.
   */
  async root(signal: AbortSignal): Promise<string | undefined> {
    const root = new RootHash()
    let isKnown = true
    for (const { first, count } of this.#chunks()) {
      signal.throwIfAborted()
      const hashes = await this.#inTurn(first, count, () => this.#disk.index.read(first, count))
      this.#noteDamage(first, hashes)
      // On to the end all the same, for the damage.
      isKnown &&= !mayHave(hashes, unknownEntry) || runsOfUnknown(hashes, first).length === 0
      if (isKnown) root.update(hashes)
    }
    return isKnown ? root.digest() : undefined
  }

  /** What {@link root} waits for. */
  get unread(): UnreadBlocks {
    const blockCount = blockCountOf(this.#disk.sizeBytes)
    const unknown = this.#disk.index.doubts.count + blockCount - this.#lookedAtBlocks
    const unknownBytes = Math.min(unknown, blockCount) * blockSizeBytes
    return { unknownBytes, bytesPerSecond: this.#speed.bytesPerSecond }
  }

  /**
   * Finds the blocks that the index does not know, once after the volume was opened: later they come into doubt one by one.
   * @returns how many there were.
   */
  findUnknown(): Promise<number> {
    this.#finding ??= this.#findUnknown()
    return this.#finding
  }

  async #findUnknown(): Promise<number> {
    const { index } = this.#disk
    let found = 0
    for (const { first, count } of this.#chunks()) {
      await this.#inTurn(first, count, async () => {
        const hashes = await index.read(first, count)
        this.#noteDamage(first, hashes)
        for (const run of mayHave(hashes, unknownEntry) ? runsOfUnknown(hashes, first) : []) {
          index.doubts.addSaved(run)
          found += run.blockCount
        }
        this.#lookedAtBlocks = first + count
      })
    }
    return found
  }

  /** Whether there are, or may be, blocks whose hashes are not known. */
  get hasDoubts(): boolean {
    return this.unread.unknownBytes > 0
  }

  /** Reads the blocks that are not known now, so that there is a root, extent by extent: writes go between them. */
  async learn(): Promise<void> {
    for (const { firstBlock, blockCount } of this.#disk.index.doubts.runs())
      await this.#read(firstBlock, blockCount)
  }

  /**
   * As {@link learn}, but call it about once a second. Those that
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

  /**
   * As {@link learn}, as fast as the disk allows: a consistency point is near. Those that were written to just now are read too. It ends early
   * when `signal` aborts, without throwing.
   * @returns how many blocks were read.
   */
  async learnFast(signal?: AbortSignal): Promise<number> {
    await this.findUnknown()
    let read = 0
    const runs = this.#disk.index.doubts.runs()
    let lapMs = performance.now()
    const lane = async (): Promise<void> => {
      for (const { firstBlock, blockCount } of runs) {
        if (signal?.aborted === true) return
        await this.#read(firstBlock, blockCount)
        read += blockCount
        const now = performance.now()
        this.#speed.add(blockCount * blockSizeBytes, now - lapMs)
        lapMs = now
      }
    }
    await allDone(Array.from({ length: readsAtOnce }, lane))
    return read
  }

  async #check(first: number, count: number): Promise<StoredBlocks> {
    return await this.#inTurn(first, count, async () => {
      const stored = await checkStored(this.#disk, first, count)
      for (const index of stored.damaged) this.damage.add(first + index)
      this.found(first, stored.found)
      return stored
    })
  }

  /** Takes in what the index marks: found by an earlier run, or more than was kept in memory. */
  #noteDamage(first: number, hashes: Uint8Array): void {
    if (!mayHave(hashes, damagedHash)) return
    for (let index = 0; index * hashBytes < hashes.length; index++)
      if (isHash(hashes, index, damagedHash)) this.damage.add(first + index)
  }

  async #read(first: number, count: number): Promise<Uint8Array> {
    return await this.#inTurn(first, count, () => this.known(first, count))
  }

  /** All blocks, in pieces of what is read of the index at once. */
  *#chunks(): Generator<{ first: number; count: number }> {
    const blockCount = blockCountOf(this.#disk.sizeBytes)
    for (let first = 0; first < blockCount; first += indexChunkBlocks)
      yield { first, count: Math.min(indexChunkBlocks, blockCount - first) }
  }
}
