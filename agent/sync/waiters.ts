/**
 * Those who wait until something becomes true of a connection, or until it is over.
 * @module
 */

interface Waiter {
  isReady(): boolean
  resolve(): void
  reject(error: Error): void
}

/** A list of waiters; whoever changes something says {@link wake}. */
export class Waiters {
  #waiting: Waiter[] = []

  /** Resolves when `isReady` says so: at once, or after a {@link wake}. */
  until(isReady: () => boolean): Promise<void> {
    if (isReady()) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiting.push({ isReady, resolve, reject }))
  }

  /** Something has changed: whoever waited for it goes on. */
  wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const waiter of waiting) {
      if (waiter.isReady()) waiter.resolve()
      else this.#waiting.push(waiter)
    }
  }

  /** Nothing changes any more. */
  rejectAll(error: Error): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error)
  }
}
