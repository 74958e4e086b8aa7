/**
 * How long to wait before trying again: doubling, bounded, and spread out so that a thousand agents do not come back together.
 * @module
 */

/** A random number in [0, 1); `Math.random` outside tests. */
export type Random = () => number

/** Bounds of the wait. */
export interface BackoffOptions {
  /** First wait. */
  baseMs: number
  /** Longest wait. */
  maxMs: number
}

/**
 * The wait before attempt `failures` + 1: between half and the whole of `baseMs` × 2^(failures - 1), at most `maxMs`.
 * With a base of 500 ms: 250-500, 500-1000, 1000-2000 … ms.
 */
export function backoffMs(failures: number, options: BackoffOptions, random: Random): number {
  const full = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(30, Math.max(0, failures - 1)))
  return Math.round(full / 2 + (full / 2) * random())
}
