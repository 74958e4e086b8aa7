/**
 * Measures speed: bytes a second over the last few seconds.
 * @module
 */
import type { Clock } from '../clock.ts'

const windowMs = 5000
const bucketMs = 250

/** Sums what passes in quarter seconds and forgets what is older than five seconds. */
export class Meter {
  readonly #clock: Clock
  readonly #buckets = new Map<number, number>()
  readonly #startMs: number
  #totalBytes = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startMs = clock.monotonicMs()
  }

  /** All that was counted since the start. */
  get totalBytes(): number {
    return this.#totalBytes
  }

  /** Counts `bytes` now. */
  add(bytes: number): void {
    this.#totalBytes += bytes
    const bucket = Math.floor(this.#clock.monotonicMs() / bucketMs)
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + bytes)
    this.#forget()
  }

  /** Bytes a second over the window, or since the start while that is shorter. */
  perSecond(): number {
    this.#forget()
    let sum = 0
    for (const bytes of this.#buckets.values()) sum += bytes
    const lengthMs = Math.max(bucketMs, Math.min(windowMs, this.#clock.monotonicMs() - this.#startMs))
    return (sum * 1000) / lengthMs
  }

  #forget(): void {
    const oldest = Math.floor((this.#clock.monotonicMs() - windowMs) / bucketMs)
    for (const bucket of this.#buckets.keys()) if (bucket <= oldest) this.#buckets.delete(bucket)
  }
}
