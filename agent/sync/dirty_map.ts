/**
 * Which blocks of a disk must be copied: one bit each. Whoever copies a block clears its bit first and reads it afterwards, so that a write
 * that comes in between sets the bit again.
 * @module
 */
import type { Extent } from '../../domain/units.ts'

/** Set bits in a 32-bit word. */
function bitsIn(word: number): number {
  let value = word - ((word >>> 1) & 0x55555555)
  value = (value & 0x33333333) + ((value >>> 2) & 0x33333333)
  return (((value + (value >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}

/** Position of the lowest bit set; `word` is not zero. */
function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word)
}

/** A set of block numbers from 0 to `blockCount` - 1. Takes 2 MiB for a disk of 1 TiB, and of that only what is touched. */
export class DirtyMap {
  #blockCount: number
  #words: Uint32Array
  /** One bit for each word that is not zero: an almost empty map of a large disk is walked in microseconds. */
  #summary: Uint32Array
  #count = 0

  constructor(blockCount: number) {
    this.#blockCount = blockCount
    this.#words = new Uint32Array(Math.ceil(blockCount / 32))
    this.#summary = new Uint32Array(Math.ceil(this.#words.length / 32))
  }

  /** Blocks of the disk. */
  get blockCount(): number {
    return this.#blockCount
  }

  /** Makes room for a disk that has grown; the new blocks are not marked. */
  grow(blockCount: number): void {
    const bigger = new DirtyMap(Math.max(blockCount, this.#blockCount))
    bigger.#words.set(this.#words)
    bigger.#summary.set(this.#summary)
    this.#words = bigger.#words
    this.#summary = bigger.#summary
    this.#blockCount = bigger.#blockCount
  }

  /** Blocks marked. */
  get count(): number {
    return this.#count
  }

  /** Blocks marked from `from` on. It looks at all words that are not zero: not for every block. */
  countFrom(from: number): number {
    let position = Math.floor(from / 32)
    let count = bitsIn((this.#word(position) & (-1 << (from & 31))) >>> 0)
    for (;;) {
      const next = this.#nextWord(position + 1)
      if (next === undefined) return count
      count += bitsIn(this.#word(next))
      position = next
    }
  }

  /** Whether block `index` is marked. */
  has(index: number): boolean {
    return ((this.#word(index >>> 5) >>> (index & 31)) & 1) === 1
  }

  /** Marks a range; what lies outside the disk is ignored. */
  mark(firstBlock: number, blockCount: number): void {
    this.#change(firstBlock, blockCount, (word, mask) => word | mask)
  }

  /** Unmarks a range; what lies outside the disk is ignored. */
  clear(firstBlock: number, blockCount: number): void {
    if (this.#count === 0) return
    this.#change(firstBlock, blockCount, (word, mask) => word & ~mask)
  }

  /** Marks all that `other`, of a disk of the same size, has marked. */
  markAll(other: DirtyMap): void {
    for (const extent of other.extents(0, Number.MAX_SAFE_INTEGER))
      this.mark(extent.firstBlock, extent.blockCount)
  }

  /** The first marked block at or after `from`; undefined when there is none. */
  firstFrom(from: number): number | undefined {
    if (this.#count === 0 || from >= this.blockCount) return undefined
    const position = Math.floor(from / 32)
    const own = (this.#word(position) & (-1 << (from & 31))) >>> 0
    if (own !== 0) return position * 32 + lowestBit(own)
    const next = this.#nextWord(position + 1)
    return next === undefined ? undefined : next * 32 + lowestBit(this.#word(next))
  }

  /** The first word at or after `from` that is not zero. */
  #nextWord(from: number): number | undefined {
    let mask = -1 << (from & 31)
    for (let position = from >>> 5; position < this.#summary.length; position++) {
      const word = ((this.#summary[position] ?? 0) & mask) >>> 0
      if (word !== 0) return position * 32 + lowestBit(word)
      mask = -1
    }
    return undefined
  }

  /**
   * The first run of marked blocks at or after `from`, at most `maxBlocks` long and, given `alignBlocks`, inside one multiple of it.
   * The marks stay.
   */
  runFrom(from: number, maxBlocks: number, alignBlocks = Number.MAX_SAFE_INTEGER): Extent | undefined {
    const firstBlock = this.firstFrom(from)
    if (firstBlock === undefined) return undefined
    const border = (Math.floor(firstBlock / alignBlocks) + 1) * alignBlocks
    const limit = Math.min(this.blockCount, firstBlock + maxBlocks, border)
    let end = firstBlock + 1
    while (end < limit && this.has(end)) end += 1
    return { firstBlock, blockCount: end - firstBlock }
  }

  /** All runs from `from` on, in order. Marks made meanwhile ahead of the position are seen. */
  *extents(from: number, maxBlocks: number, alignBlocks?: number): Generator<Extent> {
    let position = from
    for (;;) {
      const extent = this.runFrom(position, maxBlocks, alignBlocks)
      if (extent === undefined) return
      yield extent
      position = extent.firstBlock + extent.blockCount
    }
  }

  #word(position: number): number {
    return this.#words[position] ?? 0
  }

  #change(firstBlock: number, blockCount: number, apply: (word: number, mask: number) => number): void {
    const start = Math.max(0, firstBlock)
    const end = Math.min(this.blockCount, firstBlock + blockCount)
    for (let index = start; index < end;) {
      const position = Math.floor(index / 32)
      const next = Math.min(end, (position + 1) * 32)
      const length = next - index
      const mask = length === 32 ? 0xffffffff : (((1 << length) - 1) << (index & 31)) >>> 0
      const before = this.#word(position)
      const after = apply(before, mask) >>> 0
      index = next
      // A write of what is there already would make the system give memory for it: maps of large disks are mostly untouched.
      if (after === before) continue
      this.#words[position] = after
      const bit = 1 << (position & 31)
      const summary = this.#summary[position >>> 5] ?? 0
      this.#summary[position >>> 5] = after === 0 ? summary & ~bit : summary | bit
      this.#count += bitsIn(after) - bitsIn(before)
    }
  }
}
