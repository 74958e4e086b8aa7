/**
 * How fast blocks change and how fast they become durable, over the last minutes, and whether what is left of a first copy or a rescan becomes
 * less: what tells whether the replica can ever catch up.
 * @module
 */
import type { MeasuredPace } from '../../domain/convergence.ts'
import type { Clock } from '../clock.ts'

/** Speeds are those of this time: bursts of a minute are not the rule. */
const windowMs = 300_000
const bucketMs = 5000

interface Bucket {
  atMs: number
  changedBytes: number
  durableBytes: number
}

/** What was left at a moment. */
interface Rest {
  atMs: number
  bytes: number
  waitingBytes: number
}

/** Sums both in buckets of some seconds. */
export class Pace {
  readonly #clock: Clock
  #buckets: Bucket[] = []
  /** What was left over the last minutes, one for each bucket; the newest may be younger. */
  #rests: Rest[] = []
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

  /** What is left of a first copy or a rescan, about once a second; undefined while there is none. */
  left(rest: { bytes: number; waitingBytes: number } | undefined): void {
    if (rest === undefined) {
      this.#rests = []
      return
    }
    const now = this.#clock.monotonicMs()
    const beforeLast = this.#rests.at(-2)
    if (beforeLast !== undefined && now - beforeLast.atMs < bucketMs) this.#rests.pop()
    this.#rests.push({ atMs: now, ...rest })
  }

  /** Measures anew: the connection, the limit or what is to be done is another. */
  reset(): void {
    this.#buckets = []
    this.#rests = []
    this.#sinceMs = this.#clock.monotonicMs()
  }

  /** The speeds now. */
  report(): MeasuredPace {
    const now = this.#clock.monotonicMs()
    this.#forget(now)
    const measuredMs = Math.min(windowMs, now - this.#sinceMs)
    const perSecond = (bytes: number): number => (measuredMs > 0 ? (bytes * 1000) / measuredMs : 0)
    const rest = this.#rest()
    return {
      measuredMs,
      changedBytesPerSecond: perSecond(
        this.#buckets.reduce((sum, { changedBytes }) => sum + changedBytes, 0),
      ),
      durableBytesPerSecond: perSecond(
        this.#buckets.reduce((sum, { durableBytes }) => sum + durableBytes, 0),
      ),
      ...(rest === undefined ? {} : { rest }),
    }
  }

  #rest(): MeasuredPace['rest'] {
    const [oldest] = this.#rests
    const newest = this.#rests.at(-1)
    if (oldest === undefined || newest === undefined) return undefined
    const { atMs, bytes, waitingBytes } = newest
    const elapsedMs = atMs - oldest.atMs
    const shrinkBytesPerSecond = elapsedMs > 0 ? ((oldest.bytes - bytes) * 1000) / elapsedMs : 0
    return { bytes, waitingBytes, shrinkBytesPerSecond }
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
    this.#rests = this.#rests.filter(({ atMs }) => now - atMs < windowMs)
  }
}
