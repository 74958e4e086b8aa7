/**
 * A clock that moves only when a test, or somebody who sleeps, moves it.
 * @module
 */
import type { Clock } from '../../../agent/clock.ts'

/** Starts at 1,000,000 ms. Sleeping takes no time of its own: it moves the clock. */
export class FakeClock implements Clock {
  now = 1_000_000
  readonly sleeps: number[] = []

  nowMs(): number {
    return this.now
  }

  monotonicMs(): number {
    return this.now
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.sleeps.push(ms)
    this.now += ms
    await new Promise((resolve) => setImmediate(resolve))
    signal?.throwIfAborted()
  }
}
