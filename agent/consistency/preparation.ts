/**
 * What comes before a barrier: the replicator reads the blocks whose hashes it does not know, while writes go on, so that it need not do so behind
 * the barrier, where nothing is applied. See decision 12.
 * @module
 */
import type { UnreadBlocks } from '../../domain/unread_blocks.ts'
import { readingMs, unreadInWords } from '../../domain/unread_blocks.ts'
import { maxBarrierReadMs } from '../../wire/limits.ts'
import type { Clock } from '../clock.ts'
import type { PointRequest } from './point_context.ts'
import { ConsistencyError } from './point_context.ts'

/** The replicator is asked this often; it goes on reading for some seconds after the last time. */
const askAgainMs = 1000

/** So little is left that the barrier may be sent: half of what may be read behind it, as more is written until then. */
const readyMs = maxBarrierReadMs / 2

/** The part of its time that a launch waits for its roots; in the rest the point must be reached. */
const waitingShare = 0.5

/** What preparing works with. */
export interface PreparationContext {
  clock: Clock
  /** Tells the replicator that a barrier is near; answers what it still has to read. */
  ask(): Promise<UnreadBlocks>
}

/** Asks and looks, without making anybody wait. */
export class Preparation {
  readonly #context: PreparationContext
  #consistencyPointId: string | undefined
  /** Monotonic time until which a launch waits. */
  #waitUntilMs = 0
  #askedAtMs = -Infinity
  #unread: UnreadBlocks | undefined

  constructor(context: PreparationContext) {
    this.#context = context
  }

  /**
   * Whether the point may be gone for now. Call it once a turn. A launch goes without roots rather than not at all: at once where waiting for them
   * would be in vain.
   * @throws ConsistencyError, with the figures, when the time of a point by the policy is over.
   */
  isReady(request: PointRequest): boolean {
    const now = this.#context.clock.monotonicMs()
    this.#begin(request, now)
    const isOver = now >= request.deadlineMs
    if (this.#unread === undefined) {
      if (isOver)
        throw new ConsistencyError(
          'The replication server has not said in time what it still has to read for it',
        )
    } else {
      const leftMs = readingMs(this.#unread)
      if (leftMs <= readyMs) return true
      if (request.hold && now + leftMs - readyMs > this.#waitUntilMs) return true
      if (isOver) throw new ConsistencyError(unreachableInWords(this.#unread))
    }
    this.#askAgain(now)
    return false
  }

  #begin({ consistencyPointId, deadlineMs }: PointRequest, now: number): void {
    if (this.#consistencyPointId === consistencyPointId) return
    this.#consistencyPointId = consistencyPointId
    this.#waitUntilMs = now + Math.max(0, deadlineMs - now) * waitingShare
    this.#askedAtMs = -Infinity
    this.#unread = undefined
  }

  #askAgain(now: number): void {
    if (now - this.#askedAtMs < askAgainMs) return
    this.#askedAtMs = now
    const asked = this.#consistencyPointId
    this.#context.ask().then(
      (unread) => {
        if (asked === this.#consistencyPointId) this.#unread = unread
      },
      // The session is over: the next one asks anew.
      () => undefined,
    )
  }
}

/** Why a point by the policy is missed, and what can be done. */
export function unreachableInWords(unread: UnreadBlocks): string {
  return (
    `${unreadInWords(unread)}; it would hold replication back for ${Math.round(readingMs(unread) / 1000)} s, and at most ` +
    `${maxBarrierReadMs / 1000} s are allowed. Give the staging disk more throughput, or let points be at quieter hours; a launch is possible all the same`
  )
}
