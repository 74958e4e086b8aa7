/**
 * Pieces of work that must not overlap.
 * @module
 */

/** Runs one after the other, in the order of the calls. */
export class TurnQueue {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `work` when all before it has settled, well or not; settles as it does. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work)
    this.#last = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }
}
