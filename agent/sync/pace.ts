/**
 * How fast blocks change and how fast they become durable, over the last minutes: what tells whether the replica can ever catch up.
 * @module
 */
import type { Clock } from '../clock.ts'

/** Both speeds, and the time they were measured over. */
export interface PaceReport {
  measuredMs: number
  changedBytesPerSecond: number
  durableBytesPerSecond: number
}

/** Speeds are those of this time: bursts of a minute are not the rule. */
const windowMs = 300_000
const bucketMs = 5000

interface Bucket {
  atMs: number
  changedBytes: number
  durableBytes: number
}

/** Sums both in buckets of some seconds. */
export class Pace {
  readonly #clock: Clock
  #buckets: Bucket[] = []
  #sinceMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** Blocks have become outstanding. */
  changed(bytes: number): void {
    this.#bucket().changedBytes += bytes
  }

  /** Blocks have become durable. */
  durable(bytes: number): void {
    this.#bucket().durableBytes += bytes
  }

  /** Measures anew: the connection, the limit or what is to be done is another. */
  reset(): void {
    this.#buckets = []
    this.#sinceMs = this.#clock.monotonicMs()
  }

  /** The speeds now. */
  report(): PaceReport {
    const now = this.#clock.monotonicMs()
    this.#forget(now)
    const measuredMs = Math.min(windowMs, now - this.#sinceMs)
    const perSecond = (bytes: number): number => (measuredMs > 0 ? (bytes * 1000) / measuredMs : 0)
    return {
      measuredMs,
      changedBytesPerSecond: perSecond(
        this.#buckets.reduce((sum, { changedBytes }) => sum + changedBytes, 0),
      ),
      durableBytesPerSecond: perSecond(
        this.#buckets.reduce((sum, { durableBytes }) => sum + durableBytes, 0),
      ),
    }
  }

  #bucket(): Bucket {
    const now = this.#clock.monotonicMs()
    const last = this.#buckets.at(-1)
    if (last !== undefined && now - last.atMs < bucketMs) return last
    this.#forget(now)
    const fresh = { atMs: now, changedBytes: 0, durableBytes: 0 }
    this.#buckets.push(fresh)
    return fresh
  }

  #forget(now: number): void {
    this.#buckets = this.#buckets.filter(({ atMs }) => now - atMs < windowMs)
  }
}
