/**
 * Limits on guessing: so many failures from one address in a window, then nothing until the window has passed. In memory, per gateway:
 * what it protects (argon2id, 256-bit tokens) is strong by itself.
 * @module
 */

/** Addresses remembered at once; beyond that the oldest are forgotten, so that a flood cannot fill the memory. */
const maxKeys = 10_000

/** Counts failures by key. */
export class RateLimiter {
  readonly #limit: number
  readonly #windowMs: number
  readonly #clock: () => Date
  readonly #failures = new Map<string, { since: number; count: number }>()

  /** Allows `limit` failures in `windowMs` for each key. */
  constructor(limit: number, windowMs: number, clock: () => Date) {
    this.#limit = limit
    this.#windowMs = windowMs
    this.#clock = clock
  }

  /** Seconds until `key` may try again; 0 when it may now. */
  waitSeconds(key: string): number {
    const entry = this.#failures.get(key)
    const now = this.#clock().getTime()
    if (entry === undefined || entry.count < this.#limit || now - entry.since >= this.#windowMs) return 0
    return Math.ceil((entry.since + this.#windowMs - now) / 1000)
  }

  /** Remembers a failure of `key`. */
  fail(key: string): void {
    const now = this.#clock().getTime()
    const entry = this.#failures.get(key)
    const isOld = entry === undefined || now - entry.since >= this.#windowMs
    this.#failures.delete(key)
    this.#failures.set(key, isOld ? { since: now, count: 1 } : { since: entry.since, count: entry.count + 1 })
    if (this.#failures.size <= maxKeys) return
    const oldest = this.#failures.keys().next()
    if (oldest.done !== true) this.#failures.delete(oldest.value)
  }

  /** Forgets the failures of `key`: it has shown that it knows the secret. */
  succeed(key: string): void {
    this.#failures.delete(key)
  }
}
