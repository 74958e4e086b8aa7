/**
 * Sums the time in which at least one of several things was under way.
 * @module
 */
import type { Clock } from '../clock.ts'

/** A stopwatch that runs between the first {@link begin} and the last {@link end}. */
export class BusyTime {
  readonly #clock: Clock
  #underWay = 0
  #sinceMs = 0
  #endedMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Milliseconds until now. */
  get totalMs(): number {
    return this.#endedMs + (this.#underWay > 0 ? this.#clock.monotonicMs() - this.#sinceMs : 0)
  }

  /** One more is under way. */
  begin(): void {
    if (this.#underWay === 0) this.#sinceMs = this.#clock.monotonicMs()
    this.#underWay += 1
  }

  /** One of them is over, well or not. */
  end(): void {
    this.#underWay -= 1
    if (this.#underWay === 0) this.#endedMs += this.#clock.monotonicMs() - this.#sinceMs
  }
}
