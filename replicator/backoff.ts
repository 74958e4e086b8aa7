/**
 * Waiting between attempts: longer each time, up to a bound, jittered so that many do not come back at once.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** First and longest wait. */
export interface BackoffOptions {
  firstMs: number
  longestMs: number
  /** Numbers in [0, 1). */
  random: () => number
}

/** The wait before attempt `attempt` + 1, from 0: between half and all of `firstMs` doubled each time, at most `longestMs`. */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const most = Math.min(options.firstMs * 2 ** Math.min(attempt, 30), options.longestMs)
  return Math.round(most / 2 + (options.random() * most) / 2)
}

/** Waits; answers false when `signal` aborted first. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false
  try {
    await sleep(milliseconds, undefined, { signal })
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
