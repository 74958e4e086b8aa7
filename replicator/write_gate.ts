/**
 * A gate before all writes of a server.
 * @module
 */

/** What stands in the way: leave word, and `wake` is called once when it may be time to look again. */
export type Obstacle = (wake: () => void) => void

/** Open at first. Whoever finds it closed leaves word and looks again. */
export class WriteGate {
  readonly #waiting = new Set<() => void>()
  #isClosed = false

  get isClosed(): boolean {
    return this.#isClosed
  }

  close(): void {
    this.#isClosed = true
  }

  open(): void {
    this.#isClosed = false
    this.wake()
  }

  /** Calls everyone who waits, so that they look again. */
  wake(): void {
    const woken = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of woken) wake()
  }

  /** What writes must wait for while it is closed: left word is answered once, at the next change. */
  get obstacle(): Obstacle | undefined {
    return this.#isClosed ? (wake) => void this.#waiting.add(wake) : undefined
  }
}
