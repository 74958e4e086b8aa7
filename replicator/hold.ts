/**
 * The hold: from a barrier until the snapshots are taken, no later write of the server is applied, on any of its connections. Only the
 * gateway ends it, never a clock here, and a restart changes nothing of it.
 * @module
 */
import type { Logger } from 'pino'
import type { ConsistencyReached } from '../wire/control_api.ts'
import type { Barrier } from '../wire/message.ts'
import type { Assignment } from './assignment.ts'
import type { HeldPoint } from './checkpoint.ts'
import type { ServerRecord } from './server_record.ts'
import { WriteGate } from './write_gate.ts'
import type { Obstacle } from './write_gate.ts'

/** Tells the gateway of a point that was reached, again and again until it accepts or `signal` aborts. Never rejects. */
export type Announce = (reached: ConsistencyReached, signal: AbortSignal) => Promise<void>

/**
 * Whether the gateway's word on a server ends what was begun for a point, the hold at it or the way there: the point is TAKEN, EXPIRED or FAILED, or the gateway has another
 * one or none in mind.
 */
export function isReleased(
  { consistencyPointId }: Pick<HeldPoint, 'consistencyPointId'>,
  assignment: Assignment,
): boolean {
  const point = assignment.consistencyPoint
  if (point === undefined || point.consistencyPointId !== consistencyPointId) return true
  return point.state === 'TAKEN' || point.state === 'EXPIRED' || point.state === 'FAILED'
}

/** What a hold works with. */
export interface HoldOptions {
  sourceServerId: string
  record: ServerRecord
  announce: Announce
  log: Logger
}

/** The hold of one source server. */
export class Hold {
  /** Closed while a barrier is being reached and while its point is held. */
  readonly gate = new WriteGate()
  readonly #options: HoldOptions
  #held: HeldPoint | undefined
  /** The heartbeat that was the last to be sent when the hold began: only later ones can know of it. */
  #heldAtBeat = 0
  #beat = 0
  #endAnnouncing: (() => void) | undefined

  /** Takes up a point that the record says is held, and tells of it again. */
  constructor(options: HoldOptions) {
    this.#options = options
    if (options.record.held === undefined) return
    this.gate.close()
    this.#begin(options.record.held)
  }

  /** The point at which writes are held back. */
  get point(): HeldPoint | undefined {
    return this.#held
  }

  /** What a BARRIER must wait for: the end of another point's hold, or of reaching one. Asked for again, the point that is held waits for nothing. */
  obstacleOf({ consistencyPointId }: Barrier): Obstacle | undefined {
    return this.#held?.consistencyPointId === consistencyPointId ? undefined : this.gate.obstacle
  }

  /** The latest heartbeat that was sent. */
  get beat(): number {
    return this.#beat
  }

  /** Notes that heartbeat `beat` is about to be sent. */
  beatSent(beat: number): void {
    this.#beat = beat
  }

  /** Holds at `point`; the gate is closed already. @throws WireError when it can't be made durable: nothing is held then. */
  async begin(point: HeldPoint): Promise<void> {
    await this.#options.record.hold(point)
    this.#begin(point)
  }

  /**
   * Ends the hold if `assignment`, the answer to heartbeat number `beat`, says so.
   * @throws WireError when that can't be made durable: it is held further then.
   */
  async endIfTold(assignment: Assignment, beat: number): Promise<void> {
    const held = this.#held
    if (held === undefined || beat <= this.#heldAtBeat || !isReleased(held, assignment)) return
    const { record, log, sourceServerId } = this.#options
    await record.release()
    this.stopAnnouncing()
    this.#held = undefined
    log.info(
      { sourceServerId, consistencyPointId: held.consistencyPointId },
      'Applying writes again after a consistency point',
    )
    this.gate.open()
  }

  /** Tells nobody any more of the point. */
  stopAnnouncing(): void {
    this.#endAnnouncing?.()
  }

  #begin(held: HeldPoint): void {
    const { announce, log, sourceServerId } = this.#options
    const { consistencyPointId } = held
    this.#held = held
    this.#heldAtBeat = this.#beat
    const abort = new AbortController()
    this.#endAnnouncing = () => abort.abort()
    log.info({ sourceServerId, consistencyPointId }, 'Holding writes back at a consistency point')
    void announce({ sourceServerId, ...held }, abort.signal)
    // A connection may be waiting to ask for this very point again.
    this.gate.wake()
  }
}
