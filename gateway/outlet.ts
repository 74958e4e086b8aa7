/**
 * What waits to be sent to one browser. It holds the newest of each part, so a slow browser makes nothing grow.
 * @module
 */

/** One thing to send. */
export type Sendable = { kind: 'parts'; html: string } | { kind: 'event'; name: string } | { kind: 'comment' }

/** A queue that cannot grow, and that ends once. */
export class Outlet {
  readonly #parts = new Map<string, string>()
  #event: string | undefined
  #isCommentDue = false
  #isOver = false
  #wake: (() => void) | undefined

  /** Whether it has ended. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Replaces parts that wait. */
  show(parts: ReadonlyMap<string, string>): void {
    for (const [id, part] of parts) this.#parts.set(id, part)
    this.#wake?.()
  }

  /** A last word; the outlet ends after it. */
  finish(name: string): void {
    this.#event = name
    this.#wake?.()
  }

  /** A sign of life. */
  comment(): void {
    this.#isCommentDue = true
    this.#wake?.()
  }

  /** Ends it; what waits is dropped. */
  end(): void {
    this.#isOver = true
    this.#wake?.()
  }

  /** The next thing to send, once there is one; undefined when it has ended. */
  async next(): Promise<Sendable | undefined> {
    for (;;) {
      if (this.#isOver) return undefined
      const ready = this.#take()
      if (ready !== undefined) return ready
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #take(): Sendable | undefined {
    if (this.#event !== undefined) {
      this.#isOver = true
      return { kind: 'event', name: this.#event }
    }
    if (this.#parts.size > 0) {
      const html = [...this.#parts.values()].join('')
      this.#parts.clear()
      return { kind: 'parts', html }
    }
    if (!this.#isCommentDue) return undefined
    this.#isCommentDue = false
    return { kind: 'comment' }
  }
}
