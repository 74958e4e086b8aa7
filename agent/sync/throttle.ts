/**
 * Limits the speed of sending: a token bucket.
 * @module
 */
import type { Clock } from '../clock.ts'

/** Time's worth of bytes that may go in one burst after a pause. */
const burstMs = 250

/** Longest wait at a time, so that a new limit takes effect soon. */
const longestWaitMs = 200

/** Lets bytes pass at a steady rate, or not at all. A rate of 0 is no limit. */
export class Throttle {
  readonly #clock: Clock
  /** Nothing passes while it is set. */
  isOff = false
  #bytesPerMs = 0
  /** Bytes that may go now; below zero after a piece larger than the bucket. */
  #available = 0
  #filledAtMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Changes the limit; what waits goes on at the new one. */
  setBitsPerSecond(bitsPerSecond: number): void {
    const bytesPerMs = bitsPerSecond / 8000
    if (bytesPerMs === this.#bytesPerMs) return
    this.#bytesPerMs = bytesPerMs
    this.#available = 0
    this.#filledAtMs = this.#clock.monotonicMs()
  }

  /** Resolves when `bytes` may be sent. Callers come one after the other. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    while (this.isOff || this.#bytesPerMs > 0) {
      if (this.isOff) {
        await this.#clock.sleep(longestWaitMs, signal)
        continue
      }
      const now = this.#clock.monotonicMs()
      const gained = (now - this.#filledAtMs) * this.#bytesPerMs
      this.#available = Math.min(this.#bytesPerMs * burstMs, this.#available + gained)
      this.#filledAtMs = now
      if (this.#available > 0) {
        // Whoever comes may overdraw once, so that a piece larger than the bucket passes too; the next one waits for it.
        this.#available -= bytes
        return
      }
      await this.#clock.sleep(
        Math.min(longestWaitMs, Math.ceil(-this.#available / this.#bytesPerMs) + 1),
        signal,
      )
    }
  }
}
