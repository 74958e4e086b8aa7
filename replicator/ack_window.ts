/**
 * What a connection has sent and what of it is durable: an ACK names the last frame up to which everything is.
 * @module
 */

/** One frame that waits to be acknowledged. */
export interface Pending {
  sequence: number
  payloadBytes: number
  isDurable: boolean
}

/** Frames of one connection in the order in which they came; they become durable in any order. */
export class AckWindow {
  readonly #pending: Pending[] = []
  #payloadBytes = 0

  /** Payload that is not acknowledged. */
  get payloadBytes(): number {
    return this.#payloadBytes
  }

  /** Frames that are not acknowledged. */
  get frames(): number {
    return this.#pending.length
  }

  /** A frame has come. Mark what this answers as durable when it is. */
  add(sequence: number, payloadBytes: number): Pending {
    const pending = { sequence, payloadBytes, isDurable: false }
    this.#pending.push(pending)
    this.#payloadBytes += payloadBytes
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
      this.#payloadBytes -= pending.payloadBytes
    }
    if (count > 0) this.#pending.splice(0, count)
    return last
  }
}
