/**
 * Renews the agent's certificate in time: at half of its life, or when the gateway asks for it.
 * @module
 */
import type { Random } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { Note } from './sync/note_box.ts'
import { errorMessage } from '../domain/errors.ts'
import { backoffMs } from './backoff.ts'
import { isoTime } from './clock.ts'

/** Waits between attempts: there are days left when the first one fails. */
const retry = { baseMs: 30_000, maxMs: 3_600_000 }

/** What a renewal works with. */
export interface RenewalContext {
  clock: Clock
  random: Random
  /** When the certificate in use is to be renewed, and when it ends; wall clock. */
  times(): { renewAtMs: number; endsAtMs: number }
  /** Gets a new one and uses it from then on. */
  renew(): Promise<void>
  /** Logs a sentence and tells the dashboard. */
  note(level: Note['level'], message: string): void
}

/** Asked after every heartbeat. */
export class Renewal {
  readonly #context: RenewalContext
  #failures = 0
  #notBeforeMs = 0

  constructor(context: RenewalContext) {
    this.#context = context
  }

  /** Renews if it is time. A failure is told and tried again after a while; the certificate in use stays. */
  async renewIfDue(isAsked: boolean): Promise<void> {
    const { clock, times, renew, note, random } = this.#context
    const { renewAtMs, endsAtMs } = times()
    if ((!isAsked && clock.nowMs() < renewAtMs) || clock.monotonicMs() < this.#notBeforeMs) return
    try {
      await renew()
      if (this.#failures > 0) note('INFO', 'The certificate of the agent was renewed after all')
      this.#failures = 0
      this.#notBeforeMs = 0
    } catch (error) {
      this.#failures += 1
      const waitMs = backoffMs(this.#failures, retry, random)
      this.#notBeforeMs = clock.monotonicMs() + waitMs
      note(
        'WARNING',
        `Cannot renew the certificate of the agent, which ends at ${isoTime(endsAtMs)}; next attempt in ${Math.ceil(waitMs / 60_000)} min. ` +
          `If it ends, install the agent again with a new command from the add-server page: ${errorMessage(error)}`,
      )
    }
  }
}
