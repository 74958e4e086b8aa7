/**
 * What a connection has sent and what of it is durable: an ACK names the last frame up to which everything is.
 * @module
 */

/** One frame that waits to be acknowledged. */
export interface Pending {
  sequence: number
  rawBytes: number
  isDurable: boolean
}

/** Frames of one connection in the order in which they came; they become durable in any order. */
export class AckWindow {
  readonly #pending: Pending[] = []
  #rawBytes = 0

  /** Raw bytes of blocks that are not acknowledged. */
  get rawBytes(): number {
    return this.#rawBytes
  }

  /** Frames that are not acknowledged. */
  get frames(): number {
    return this.#pending.length
  }

  /** A frame has come. Mark what this answers as durable when it is. */
  add(sequence: number, rawBytes: number): Pending {
    const pending = { sequence, rawBytes, isDurable: false }
    this.#pending.push(pending)
    this.#rawBytes += rawBytes
    return pending
  }

  /** Takes out everything that may be acknowledged now; answers the last sequence number of it, undefined if there is none. */
  takeDurable(): number | undefined {
    let count = 0
    let last: number | undefined
    for (const pending of this.#pending) {
      if (!pending.isDurable) break
      count++
      last = pending.sequence
      this.#rawBytes -= pending.rawBytes
    }
    if (count > 0) this.#pending.splice(0, count)
    return last
  }
}
