/**
 * Says how many connections a session has, from what they have carried so far.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { ConnectionChoice, LinkObservation } from './connection_choice.ts'
import { nextConnections, oneConnection, withoutTrial } from './connection_choice.ts'

/** Connections that an agent may open. */
export const maxConnections = 5

/** An observation takes at least this long and this many bytes: where hardly anything is sent, nothing is learned. */
const observedMs = 3000
const observedBytes = 1024 * 1024

/** The plan of one session. */
export interface ConnectionPlan {
  /** With how many the session begins. */
  readonly first: number
  /** How many there should be instead of `count`, by what was counted since the session began. Asked between turns. */
  wanted(count: number, counted: LinkObservation): number
  /** A further one could not be opened, or was lost before it was used. */
  failed(): void
}

/** As many as the link needs: one at first. */
export class MeasuredConnections implements ConnectionPlan {
  readonly first = oneConnection.count
  readonly #clock: Clock
  #choice: ConnectionChoice = oneConnection
  /** What was counted when the observation under way began. */
  #since: LinkObservation | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wanted(count: number, counted: LinkObservation): number {
    if (count !== this.#choice.count) {
      this.#since = undefined
      return this.#choice.count
    }
    const since = (this.#since ??= counted)
    const seen = {
      busyMs: counted.busyMs - since.busyMs,
      waitMs: counted.waitMs - since.waitMs,
      acknowledgedBytes: counted.acknowledgedBytes - since.acknowledgedBytes,
    }
    if (seen.busyMs < observedMs || seen.acknowledgedBytes < observedBytes) return count
    this.#since = counted
    this.#choice = nextConnections(this.#choice, seen, this.#clock.monotonicMs(), maxConnections)
    return this.#choice.count
  }

  failed(): void {
    this.#choice = withoutTrial(this.#choice, this.#clock.monotonicMs())
  }
}
