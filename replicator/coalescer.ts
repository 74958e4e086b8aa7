/**
 * Group commit: many callers ask for a piece of work, one run of it serves all that asked before it began.
 * @module
 */

/** Runs its work one at a time; callers that come while it runs share the next run. */
export class Coalescer {
  readonly #work: () => Promise<void>
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(work: () => Promise<void>) {
    this.#work = work
  }

  /** Resolves when a run that began after this call has ended; rejects when that run fails. */
  run(): Promise<void> {
    if (this.#next !== undefined) return this.#next
    if (this.#running === undefined) return this.#start()
    const start = (): Promise<void> => this.#start()
    this.#next = this.#running.then(start, start)
    return this.#next
  }

  /** Resolves when nothing runs and nothing is about to. */
  async idle(): Promise<void> {
    while (this.#running !== undefined || this.#next !== undefined) {
      await Promise.allSettled([this.#running, this.#next])
    }
  }

  #start(): Promise<void> {
    this.#next = undefined
    const run = this.#work()
    this.#running = run
    const end = (): void => {
      if (this.#running === run) this.#running = undefined
    }
    run.then(end, end)
    return run
  }
}
