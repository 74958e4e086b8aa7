/**
 * Remembers which consistency point is to be reached, asked for by the gateway or due by the policy, and what became of the last ones, across
 * sessions.
 * @module
 */
import type { ConsistencyPolicy } from '../../domain/consistency_policy.ts'
import type { PointOutcome } from '../../domain/point_figures.ts'
import type { AgentDesired } from '../../wire/control_api.ts'
import type { Barrier } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { PointRequest, PointTally } from './point_context.ts'
import { defaultConsistencyPolicy } from '../../domain/consistency_policy.ts'
import { newId } from '../../domain/ids.ts'
import { newTally } from './point_context.ts'

/** The gateway's clock and this one may differ, so the time left is bounded on both sides. */
const leastMs = 5000
const mostMs = 120_000

const maxReasonLength = 1000

/** Outcomes that are kept for a gateway that is away; the oldest go first. */
const maxOutcomes = 50

/** An outcome with the moment of its end instead of its age. */
type Ended = Omit<PointOutcome, 'agoMs'> & { endedAtMs: number }

/** One point at a time, each dealt with once. */
export class PointKeeper {
  readonly #clock: Clock
  #policy: ConsistencyPolicy = defaultConsistencyPolicy
  /** Monotonic time from which on the intervals of the policy count: the last point, or the start. */
  #sinceMs: number
  #pending: PointRequest | undefined
  #doneId: string | undefined
  #failure: { consistencyPointId: string; reason: string } | undefined
  #sequence = 0
  #outcomes: Ended[] = []
  /** The barrier that was sent without hearing an answer, and what its point came to until then. */
  sentBarrier: Barrier | undefined
  #sentTally: PointTally | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** The point to be reached and not yet dealt with. */
  get pending(): PointRequest | undefined {
    return this.#pending
  }

  /** Whether the gateway waits for a point. */
  get isAsked(): boolean {
    return this.#pending?.isScheduled === false
  }

  /** Why the point asked for could not be reached; told until the gateway no longer asks for it. */
  get failure(): { consistencyPointId: string; reason: string } | undefined {
    return this.#failure
  }

  /** What became of points, as far as the gateway has not heard of it. */
  get outcomes(): PointOutcome[] {
    const now = this.#clock.monotonicMs()
    return this.#outcomes.map(({ endedAtMs, ...outcome }) => ({ ...outcome, agoMs: now - endedAtMs }))
  }

  /** The gateway has heard of all outcomes up to this one. */
  told(sequence: number): void {
    this.#outcomes = this.#outcomes.filter((outcome) => outcome.sequence > sequence)
  }

  /** How points are reached from now on. */
  setPolicy(policy: ConsistencyPolicy | undefined): void {
    this.#policy = policy ?? defaultConsistencyPolicy
  }

  /** What the gateway asks for now; true when that is a point not heard of before. */
  apply(point: AgentDesired['consistencyPoint']): boolean {
    if (point === undefined) {
      if (this.isAsked) this.#pending = undefined
      this.#failure = undefined
      return false
    }
    const { consistencyPointId, maxFreezeMs } = point
    if (consistencyPointId === this.#pending?.consistencyPointId || consistencyPointId === this.#doneId)
      return false
    const leftMs = Math.min(mostMs, Math.max(leastMs, Date.parse(point.expiresAt) - this.#clock.nowMs()))
    this.#failure = undefined
    // One by the policy gives way: somebody waits for this one.
    this.#pending = this.#request({ consistencyPointId, maxFreezeMs, leftMs, isScheduled: false })
    return true
  }

  /** Makes the point pending that is due by the policy, if one is and no other is pending. */
  schedule(): void {
    const { intervalMinutes, maxFreezeMs } = this.#policy
    if (this.#pending !== undefined || intervalMinutes === 0) return
    if (this.#clock.monotonicMs() - this.#sinceMs < intervalMinutes * 60_000) return
    const consistencyPointId = newId('consistencyPoint')
    this.#pending = this.#request({ consistencyPointId, maxFreezeMs, leftMs: mostMs, isScheduled: true })
  }

  /** A barrier is on its way; `tally` is what its point came to. */
  sent(barrier: Barrier, tally: PointTally): void {
    this.sentBarrier = barrier
    this.#sentTally = tally
  }

  /** The point is reached by `method` or, with a reason, cannot be; `tally` is what it came to, unless its barrier was sent. */
  finish(
    consistencyPointId: string,
    end: { method: 'FROZEN' | 'QUIET' } | { failure: string; tally?: PointTally },
  ): void {
    if (this.#pending?.consistencyPointId !== consistencyPointId) return
    const { isScheduled } = this.#pending
    const tally = ('failure' in end ? end.tally : undefined) ?? this.#sentTally ?? newTally()
    this.#pending = undefined
    this.#sinceMs = this.#clock.monotonicMs()
    if (!isScheduled) this.#doneId = consistencyPointId
    const failure = 'failure' in end ? end.failure.slice(0, maxReasonLength) : undefined
    if (failure !== undefined && !isScheduled) this.#failure = { consistencyPointId, reason: failure }
    this.#sequence += 1
    const outcome: Ended = {
      ...tally,
      sequence: this.#sequence,
      consistencyPointId,
      endedAtMs: this.#clock.monotonicMs(),
      isScheduled,
      ...(failure === undefined ? {} : { failure }),
      ...('method' in end ? { method: end.method } : {}),
      ...(tally.hookFailure === undefined
        ? {}
        : { hookFailure: tally.hookFailure.slice(0, maxReasonLength) }),
    }
    this.#outcomes = [...this.#outcomes, outcome].slice(-maxOutcomes)
  }

  #request(point: {
    consistencyPointId: string
    maxFreezeMs: number
    leftMs: number
    isScheduled: boolean
  }): PointRequest {
    const { leftMs, isScheduled, ...named } = point
    const { hookTimeoutSeconds, maxHoldSeconds, onHookFailure } = this.#policy
    return {
      ...named,
      isScheduled,
      hold: !isScheduled,
      deadlineMs: this.#clock.monotonicMs() + leftMs,
      hooks: {
        timeoutSeconds: hookTimeoutSeconds,
        holdSeconds: maxHoldSeconds,
        onFailure: onHookFailure,
      },
    }
  }
}
