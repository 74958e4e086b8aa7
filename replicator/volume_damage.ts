/**
 * Which blocks of a volume are damaged: their data are not what was written there, so they must be sent again. The index marks them durably;
 * this is what is known of it in memory.
 * @module
 */
import type { Extent } from '../domain/units.ts'

/** Damaged blocks kept in memory. Of more the index alone knows; they are found again once these are repaired. */
const maxBlocks = 65_536

/** The damage of one volume. */
export class VolumeDamage {
  readonly #blocks = new Set<number>()

  /** Damaged blocks that are known. */
  get count(): number {
    return this.#blocks.size
  }

  /** Whether no more can be taken in until some are repaired. */
  get isFull(): boolean {
    return this.#blocks.size >= maxBlocks
  }

  /** A block is damaged. */
  add(block: number): void {
    if (!this.isFull) this.#blocks.add(block)
  }

  /** Blocks were written as a whole. */
  repaired(firstBlock: number, blockCount: number): void {
    if (this.#blocks.size === 0) return
    if (blockCount > this.#blocks.size) {
      for (const block of this.#blocks)
        if (block >= firstBlock && block < firstBlock + blockCount) this.#blocks.delete(block)
      return
    }
    for (let index = 0; index < blockCount; index++) this.#blocks.delete(firstBlock + index)
  }

  /** The first `most` extents in order of their position. */
  extents(most: number): Extent[] {
    return extentsOf([...this.#blocks].sort((left, right) => left - right)).slice(0, most)
  }
}

/** Ascending block numbers as extents. */
export function extentsOf(blocks: readonly number[]): Extent[] {
  const extents: Extent[] = []
  for (const block of blocks) {
    const last = extents.at(-1)
    if (last !== undefined && last.firstBlock + last.blockCount === block) last.blockCount++
    else extents.push({ firstBlock: block, blockCount: 1 })
  }
  return extents
}
