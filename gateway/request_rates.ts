/**
 * How much a program may ask for: a bucket of calls for each API token and each access key, that fills again all the time. In memory, for each gateway
 * by itself: it keeps one program from taking everything, it is no account of anything.
 * @module
 */

/** Callers remembered at once. One that is forgotten has a full bucket when it comes back. */
const maxCallers = 10_000

/** Calls in a time: as many at once, and on the average. */
export interface RatePolicy {
  calls: number
  windowSeconds: number
}

/** What became of a call. */
export interface TakenCall {
  isAllowed: boolean
  /** Calls that may be made now. */
  callsLeft: number
  /** Until all of them may be made again. */
  secondsToFull: number
  /** Until the next call may be made; 0 for now. */
  waitSeconds: number
}

/** Counts calls by caller. */
export class RequestRates {
  readonly policy: RatePolicy
  readonly #clock: () => Date
  readonly #buckets = new Map<string, { calls: number; atMs: number }>()

  constructor(policy: RatePolicy, clock: () => Date) {
    this.policy = policy
    this.#clock = clock
  }

  /** Counts a call of `caller` if it may be made. */
  take(caller: string): TakenCall {
    const { calls: most, windowSeconds } = this.policy
    const perSecond = most / windowSeconds
    const nowMs = this.#clock().getTime()
    const known = this.#buckets.get(caller) ?? { calls: most, atMs: nowMs }
    // A clock that was set back fills nothing.
    const passedSeconds = Math.max(0, nowMs - known.atMs) / 1000
    const calls = Math.min(most, known.calls + passedSeconds * perSecond)
    const isAllowed = calls >= 1
    const left = isAllowed ? calls - 1 : calls
    // Those who came last are at the end.
    this.#buckets.delete(caller)
    this.#buckets.set(caller, { calls: left, atMs: nowMs })
    this.#forgetOldest()
    return {
      isAllowed,
      callsLeft: Math.floor(left),
      secondsToFull: Math.ceil((most - left) / perSecond),
      waitSeconds: isAllowed ? 0 : Math.max(1, Math.ceil((1 - left) / perSecond)),
    }
  }

  #forgetOldest(): void {
    if (this.#buckets.size <= maxCallers) return
    const oldest = this.#buckets.keys().next()
    if (oldest.done !== true) this.#buckets.delete(oldest.value)
  }
}
