/**
 * A barrier and its answer, also when it is lost, late, or says that the point is not reached.
 * @module
 */
import type { Barrier } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { LineLog } from '../log.ts'
import type { DiskSet } from '../sync/disk_set.ts'
import type { Sender } from '../sync/sender.ts'
import type { PointRequest } from './point_context.ts'
import type { PointKeeper } from './point_keeper.ts'
import { maxBarrierReadMs } from '../../wire/limits.ts'
import { unreachableInWords } from './preparation.ts'

/** How long the answer to the barrier of a point by the policy may take: reading behind it, and flushing. Of others the gateway says. */
const answerMs = 3 * maxBarrierReadMs

/** What a session's barriers work with. */
export interface BarriersContext {
  clock: Clock
  log: LineLog
  points: PointKeeper
  disks: Pick<DiskSet, 'stopped'>
  note(level: 'INFO' | 'WARNING' | 'ERROR', message: string): void
  /** Something worth a heartbeat at once has happened. */
  onChange(): void
}

/** Those of one session. */
export class Barriers {
  readonly #context: BarriersContext
  readonly #sender: Sender
  readonly #signal: AbortSignal

  constructor(context: BarriersContext, sender: Sender, signal: AbortSignal) {
    this.#context = context
    this.#sender = sender
    this.#signal = signal
  }

  /**
   * A barrier whose answer was lost is repeated first of all: nothing was sent since, so it names the same moment. One that holds nothing is not:
   * its point is begun again, if there is time.
   */
  async repeat(): Promise<void> {
    const { points } = this.#context
    const barrier = points.sentBarrier
    const request = points.pending
    // A disk that is not named any more would be missing at the point.
    const isWhole = this.#context.disks.stopped.length === 0
    if (isWhole && barrier?.hold === true && request?.consistencyPointId === barrier.consistencyPointId)
      await this.send(barrier, request)
    else points.sentBarrier = undefined
  }

  /** Sends the barrier and deals with what becomes of it. Throws what ends the session. */
  async send(barrier: Barrier, request: PointRequest): Promise<void> {
    const { points, onChange, log } = this.#context
    const asking = this.#sender.barrier(barrier)
    const answered = new AbortController()
    const answer = await Promise.race([asking, this.#whileWanted(request, answered.signal)]).finally(() =>
      answered.abort(),
    )
    // An answer that comes after all has nobody waiting for it.
    asking.catch(() => undefined)
    points.sentBarrier = undefined
    if (answer === 'UNWANTED') return
    const { consistencyPointId, method } = barrier
    if (answer !== 'LATE' && 'reached' in answer) {
      points.finish(consistencyPointId, { method })
      onChange()
      this.#tellReached(barrier, request)
      return
    }
    const failure =
      answer === 'LATE'
        ? `The replication server has not answered the barrier within ${answerMs / 1000} s; see its log, and whether its disks are slow`
        : unreachableInWords(answer.unread)
    points.finish(consistencyPointId, { failure })
    onChange()
    log.warning(`Consistency point ${consistencyPointId} failed: ${failure}`)
  }

  #tellReached({ consistencyPointId, method, frozenMs }: Barrier, { isScheduled }: PointRequest): void {
    const how =
      method === 'FROZEN' ? `file systems frozen for ${Math.round(frozenMs)} ms` : 'at a quiet moment'
    const sentence = `Consistency point ${consistencyPointId} reached, ${how}`
    // By the policy there may be one every minute: the figures tell of those.
    if (isScheduled) this.#context.log.info(sentence)
    else this.#context.note('INFO', sentence)
  }

  /**
   * Resolves with UNWANTED once the gateway no longer asks for the point, or `ended` is aborted; with LATE once the time for the answer to a
   * barrier that the gateway does not know of is over.
   */
  async #whileWanted(request: PointRequest, ended: AbortSignal): Promise<'UNWANTED' | 'LATE'> {
    const { clock, points } = this.#context
    const endMs = clock.monotonicMs() + answerMs
    const isWanted = (): boolean =>
      !ended.aborted &&
      !this.#signal.aborted &&
      points.pending?.consistencyPointId === request.consistencyPointId
    while (isWanted()) {
      if (request.isScheduled && clock.monotonicMs() >= endMs) return 'LATE'
      await clock.sleep(200)
    }
    return 'UNWANTED'
  }
}
