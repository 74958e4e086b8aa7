/**
 * Order among operations on the same blocks: each waits for those that came before it and touch a block of its own. Others run at once.
 * @module
 */

/** A place in the order. */
export interface Grant {
  /** Undefined when nothing is in the way. Never rejects. */
  ready: Promise<unknown> | undefined
  /** Lets those behind go on. Call it once, whatever happened. */
  release(): void
}

interface Holder {
  first: number
  end: number
  done: Promise<void>
}

/** Keeps the blocks and the index entries of one volume in step, however many connections write to it. */
export class RangeLock {
  readonly #holders = new Set<Holder>()

  /** Takes a place for blocks `first` to `first + count - 1`. The order is that of the calls, so no two can wait for each other. */
  acquire(first: number, count: number): Grant {
    const end = first + count
    const before: Promise<void>[] = []
    for (const holder of this.#holders) {
      if (holder.first < end && first < holder.end) before.push(holder.done)
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const holder: Holder = { first, end, done: promise }
    this.#holders.add(holder)
    return {
      ready: before.length === 0 ? undefined : Promise.all(before),
      release: () => {
        this.#holders.delete(holder)
        resolve()
      },
    }
  }

  /** Resolves when all that hold a place now have released it. */
  async drained(): Promise<void> {
    await Promise.all([...this.#holders].map((holder) => holder.done))
  }
}
