/**
 * The blocks of a volume whose hash is not known because pieces of them were written: which, since when, and which of them the index file
 * still has an old hash of.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { maxExtentBlocks } from '../domain/units.ts'
import { BlockSet } from './block_set.ts'

/** Ticks after which a block that was not written to counts as quiet, at least; at most twice as many. */
const quietTicks = 4

/** A set of blocks that remembers a little. */
export class Doubts {
  readonly #all = new BlockSet()
  readonly #unsaved = new BlockSet()
  /** Doubted since the last turn of the generations, and since the one before. */
  #young = new BlockSet()
  #older = new BlockSet()
  #ticks = 0

  /** Blocks in doubt. */
  get count(): number {
    return this.#all.size
  }

  /** The hashes of these blocks are not known any more. */
  add(extent: Extent): void {
    for (let block = extent.firstBlock; block < extent.firstBlock + extent.blockCount; block++)
      // Of one that was in doubt before no hash was written since: the file knows, or will with the next flush.
      if (!this.#all.has(block)) this.#unsaved.add({ firstBlock: block, blockCount: 1 })
    this.#all.add(extent)
    this.#young.add(extent)
  }

  /** These blocks turned out to be unknown in the index file. */
  addSaved(extent: Extent): void {
    this.#all.add(extent)
  }

  /** They are known again, and the index file says so. */
  delete(extent: Extent): void {
    if (this.#all.size === 0) return
    this.#all.delete(extent)
    this.#unsaved.delete(extent)
  }

  /** Those among `extent`, in runs. */
  within(extent: Extent): Generator<Extent> {
    return this.#all.runsIn(extent, extent.blockCount)
  }

  /**
   * Those among `extent` that the index file does not say unknown of, in runs; from now on it is taken to. Undefined, and nothing is taken, when they
   * are more than `mostRuns`.
   */
  takeUnsaved(extent: Extent, mostRuns: number): Extent[] | undefined {
    if (this.#unsaved.size === 0) return []
    const runs: Extent[] = []
    for (const run of this.#unsaved.runsIn(extent, extent.blockCount)) {
      if (runs.length === mostRuns) return undefined
      runs.push(run)
    }
    for (const run of runs) this.#unsaved.delete(run)
    return runs
  }

  /** All of them, in runs of what is read at once. */
  runs(): Generator<Extent> {
    return this.#all.runs(maxExtentBlocks)
  }

  /** Those that were not written to for some ticks, in runs of what is read at once. */
  *quietRuns(): Generator<Extent> {
    for (const run of this.runs()) {
      let start = run.firstBlock
      const end = run.firstBlock + run.blockCount
      for (let block = start; block <= end; block++) {
        if (block < end && !this.#young.has(block) && !this.#older.has(block)) continue
        if (block > start) yield { firstBlock: start, blockCount: block - start }
        start = block + 1
      }
    }
  }

  /** Time goes on; call it about once a second. */
  tick(): void {
    this.#ticks += 1
    if (this.#ticks % quietTicks > 0) return
    this.#older = this.#young
    this.#young = new BlockSet()
  }
}
