/**
 * Remembers which consistency point the gateway asks for and how far it has come, across sessions.
 * @module
 */
import type { AgentDesired } from '../../wire/control_api.ts'
import type { Barrier } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { PointRequest } from './consistency_point.ts'

/** The gateway's clock and this one may differ, so the time left is bounded on both sides. */
const leastMs = 5000
const mostMs = 120_000

const maxReasonLength = 1000

/** One point at a time, each dealt with once. */
export class PointKeeper {
  readonly #clock: Clock
  #pending: PointRequest | undefined
  #doneId: string | undefined
  #failure: { consistencyPointId: string; reason: string } | undefined
  /** The barrier that was sent without hearing an answer. */
  sentBarrier: Barrier | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The point asked for and not yet dealt with. */
  get pending(): PointRequest | undefined {
    return this.#pending
  }

  /** Why the point asked for could not be reached; told until the gateway no longer asks for it. */
  get failure(): { consistencyPointId: string; reason: string } | undefined {
    return this.#failure
  }

  /** What the gateway asks for now; true when that is a point not heard of before. */
  apply(point: AgentDesired['consistencyPoint']): boolean {
    if (point === undefined) {
      this.#pending = undefined
      this.#failure = undefined
      return false
    }
    const { consistencyPointId, maxFreezeMs } = point
    if (consistencyPointId === this.#pending?.consistencyPointId || consistencyPointId === this.#doneId)
      return false
    const leftMs = Math.min(mostMs, Math.max(leastMs, Date.parse(point.expiresAt) - this.#clock.nowMs()))
    this.#failure = undefined
    this.#pending = { consistencyPointId, maxFreezeMs, deadlineMs: this.#clock.monotonicMs() + leftMs }
    return true
  }

  /** The point is reached or, with a reason, cannot be. */
  finish(consistencyPointId: string, reason?: string): void {
    if (this.#pending?.consistencyPointId !== consistencyPointId) return
    this.#pending = undefined
    this.#doneId = consistencyPointId
    if (reason !== undefined) this.#failure = { consistencyPointId, reason: reason.slice(0, maxReasonLength) }
  }
}
