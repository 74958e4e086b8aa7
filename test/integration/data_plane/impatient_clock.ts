/**
 * A clock whose time is the real one and whose waits are short: what waits between attempts means nothing in a test, how long the far end has
 * been silent does.
 * @module
 */
import type { Clock } from '../../../agent/clock.ts'
import { systemClock } from '../../../agent/clock.ts'

/** Waits only a share of what is asked for. */
export class ImpatientClock implements Clock {
  readonly #factor: number

  /** @param factor by which waits are shortened. */
  constructor(factor: number) {
    this.#factor = factor
  }

  nowMs(): number {
    return systemClock.nowMs()
  }

  monotonicMs(): number {
    return systemClock.monotonicMs()
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await systemClock.sleep(ms / this.#factor, signal)
  }
}
