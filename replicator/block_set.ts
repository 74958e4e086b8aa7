/**
 * A set of block numbers in little memory: one bit each, and none for stretches of a disk that have no member.
 * @module
 */
import type { Extent } from '../domain/units.ts'

/** Blocks whose bits stand together: 256 MiB of disk in 512 bytes. */
const chunkBlocks = 4096

/** Grows and shrinks with what is in it. */
export class BlockSet {
  readonly #chunks = new Map<number, Uint8Array>()
  #size = 0

  /** Members. */
  get size(): number {
    return this.#size
  }

  has(block: number): boolean {
    const bits = this.#chunks.get(Math.floor(block / chunkBlocks))
    if (bits === undefined) return false
    const place = block % chunkBlocks
    return (((bits[place >>> 3] ?? 0) >>> (place & 7)) & 1) === 1
  }

  add({ firstBlock, blockCount }: Extent): void {
    for (let block = firstBlock; block < firstBlock + blockCount; block++) {
      if (!this.has(block)) this.#flip(block, 1)
    }
  }

  delete({ firstBlock, blockCount }: Extent): void {
    if (this.#size === 0) return
    for (let block = firstBlock; block < firstBlock + blockCount; block++) {
      if (this.has(block)) this.#flip(block, -1)
    }
  }

  clear(): void {
    this.#chunks.clear()
    this.#size = 0
  }

  /** Runs of members among `blockCount` blocks from `firstBlock`, ascending, each at most `mostBlocks` long. */
  *runsIn({ firstBlock, blockCount }: Extent, mostBlocks: number): Generator<Extent> {
    const end = firstBlock + blockCount
    for (let block = firstBlock; block < end;) {
      // Where nothing is there is nothing to look at.
      if (!this.#chunks.has(Math.floor(block / chunkBlocks))) {
        block = (Math.floor(block / chunkBlocks) + 1) * chunkBlocks
        continue
      }
      if (!this.has(block)) {
        block += this.#isNoneOfEight(block) ? 8 : 1
        continue
      }
      let after = block + 1
      while (after < end && after - block < mostBlocks && this.has(after)) after++
      yield { firstBlock: block, blockCount: after - block }
      block = after
    }
  }

  /** Runs of all members, ascending, each at most `mostBlocks` long. */
  *runs(mostBlocks: number): Generator<Extent> {
    const chunks = [...this.#chunks.keys()].sort((a, b) => a - b)
    for (const chunk of chunks)
      yield* this.runsIn({ firstBlock: chunk * chunkBlocks, blockCount: chunkBlocks }, mostBlocks)
  }

  /** Whether `block` is the first of eight that stand in one byte, none of which is a member. */
  #isNoneOfEight(block: number): boolean {
    return (
      block % 8 === 0 &&
      this.#chunks.get(Math.floor(block / chunkBlocks))?.[(block % chunkBlocks) >>> 3] === 0
    )
  }

  #flip(block: number, change: 1 | -1): void {
    const chunk = Math.floor(block / chunkBlocks)
    let bits = this.#chunks.get(chunk)
    if (bits === undefined) this.#chunks.set(chunk, (bits = new Uint8Array(chunkBlocks / 8)))
    const place = block % chunkBlocks
    bits[place >>> 3] = (bits[place >>> 3] ?? 0) ^ (1 << (place & 7))
    this.#size += change
  }
}
