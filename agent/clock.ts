/**
 * Time as an argument: what reads a clock or waits takes a {@link Clock}, so that tests decide what time it is.
 * @module
 */
import { setTimeout as wait } from 'node:timers/promises'

/** Time and waiting. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump. */
  nowMs(): number
  /** Milliseconds since some moment; never goes back. Lengths of time are measured with it. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The platform's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    signal?.throwIfAborted()
    try {
      await wait(ms, undefined, signal === undefined ? {} : { signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  },
}

/** ISO 8601 UTC of a wall clock time. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
