/**
 * Order among operations on the same blocks: each waits for those that came before it and touch a block of its own. Others run at once.
 * @module
 */
import type { Extent } from '../domain/units.ts'

/** A place in the order. */
export interface Grant {
  /** Undefined when nothing is in the way. Never rejects. */
  ready: Promise<unknown> | undefined
  /** Lets those behind go on. Call it once, whatever happened, also before `ready`. */
  release(): void
}

interface Holder {
  ranges: readonly Range[]
  /** It and everything before it on its blocks have been released. */
  done: Promise<unknown>
}

/** Blocks `first` to `end - 1`. */
interface Range {
  first: number
  end: number
}

/** The parts of `own` that `other` does not cover, all of them ascending; `own` itself when it covers nothing of them. */
function without(own: readonly Range[], other: readonly Range[]): readonly Range[] {
  const rest: Range[] = []
  let isCovered = false
  let at = 0
  for (const range of own) {
    while (at < other.length && (other[at]?.end ?? 0) <= range.first) at++
    let { first } = range
    for (let look = at; first < range.end; look++) {
      const cover = other[look]
      if (cover === undefined || cover.first >= range.end) break
      isCovered = true
      if (cover.first > first) rest.push({ first, end: cover.first })
      first = cover.end
    }
    if (first < range.end) rest.push({ first, end: range.end })
  }
  return isCovered ? rest : own
}

/** Keeps the blocks and the index entries of one volume in step, however many connections write to it. */
export class RangeLock {
  /** In the order of the calls. */
  readonly #holders = new Map<number, Holder>()
  #next = 0

  /** Takes a place for blocks, in extents that ascend. The order is that of the calls, so no two can wait for each other. */
  acquire(extents: readonly Extent[]): Grant {
    const ranges = extents.map(({ firstBlock, blockCount }) => ({
      first: firstBlock,
      end: firstBlock + blockCount,
    }))
    const before = this.#blockersOf(ranges)
    const { promise: released, resolve } = Promise.withResolvers<void>()
    const ready = before.length === 0 ? undefined : Promise.all(before)
    const done = ready === undefined ? released : Promise.all([ready, released])
    const place = this.#next++
    this.#holders.set(place, { ranges, done })
    const leave = (): void => void this.#holders.delete(place)
    if (ready !== undefined) void done.then(leave)
    return {
      ready,
      release: () => {
        // Released before its turn, it still stands for those that it waits for.
        if (ready === undefined) leave()
        resolve()
      },
    }
  }

  /** Resolves when all that hold a place now have released it. */
  async drained(): Promise<void> {
    await Promise.all([...this.#holders.values()].map((holder) => holder.done))
  }

  /**
   * What must be over before `own` may begin. For each block only its latest holder counts, as that one is over after all before it: many
   * operations on one block would else each wait for all others, which takes memory by their square.
   */
  #blockersOf(own: readonly Range[]): Promise<unknown>[] {
    if (this.#holders.size === 0) return []
    const before: Promise<unknown>[] = []
    let uncovered = own
    for (const holder of [...this.#holders.values()].toReversed()) {
      const rest = without(uncovered, holder.ranges)
      if (rest === uncovered) continue
      before.push(holder.done)
      uncovered = rest
      if (uncovered.length === 0) break
    }
    return before
  }
}
