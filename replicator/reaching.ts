/**
 * A barrier while it is being reached. Flushing and reading for it may take seconds, and no write is applied meanwhile: so it is given up as
 * soon as nobody waits for it. What has been read by then is not read again.
 * @module
 */
import type { Barrier } from '../wire/message.ts'
import { WireError } from '../wire/wire_error.ts'
import type { Assignment } from './assignment.ts'
import { isReleased } from './hold.ts'
import type { ServerSession } from './members.ts'

/** One attempt to reach a barrier. */
export class Reaching {
  readonly #barrier: Barrier
  readonly #session: ServerSession
  readonly #sinceBeat: number
  readonly #controller = new AbortController()

  /** @param sinceBeat the heartbeat that was the last to be sent: only answers to later ones count. */
  constructor(barrier: Barrier, session: ServerSession, sinceBeat: number) {
    this.#barrier = barrier
    this.#session = session
    this.#sinceBeat = sinceBeat
  }

  /** Aborts when it is given up; the reason is a {@link WireError}. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The answer to heartbeat number `beat` has come: a point that the gateway no longer waits for is given up. */
  heard(assignment: Assignment, beat: number): void {
    // Without `hold` the gateway knows nothing of the point.
    if (!this.#barrier.hold || beat <= this.#sinceBeat || !isReleased(this.#barrier, assignment)) return
    this.#giveUp('the gateway no longer waits for it')
  }

  /** A connection is over: without the one that asked nobody gets the answer. */
  left(session: ServerSession): void {
    if (session === this.#session) this.#giveUp('its connection was ended')
  }

  #giveUp(why: string): void {
    this.#controller.abort(
      new WireError(
        'VOLUME_IO_ERROR',
        `Cannot reach consistency point ${this.#barrier.consistencyPointId}: ${why}. If that was for its time, volumes whose hashes ` +
          'are not known were still being read; that goes on, and a later point finds less to read',
      ),
    )
  }
}
