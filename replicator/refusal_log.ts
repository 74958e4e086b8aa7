/**
 * Refused connections in the log: each with its reason, but no more than so many a minute, or whoever reaches the port could fill the
 * disk.
 * @module
 */
import type { Logger } from 'pino'
import { LineBudget } from '../domain/line_budget.ts'

/** Lines a minute. */
const maxLines = 60

/** One refusal. */
export interface Refusal {
  remoteAddress: string | undefined
  code: string
  reason: string
  expected?: string | undefined
  actual?: string | undefined
}

/** Writes refusals down. */
export class RefusalLog {
  readonly #log: Logger
  readonly #budget: LineBudget

  /** @param nowMs monotonic milliseconds. */
  constructor(log: Logger, nowMs: () => number = () => performance.now()) {
    this.#log = log
    this.#budget = new LineBudget(maxLines, nowMs)
  }

  add({ remoteAddress, code, reason, expected, actual }: Refusal): void {
    this.#budget.spend(
      () =>
        this.#log.warn(
          { event: 'connection-refused', remoteAddress, code, expected, actual },
          `Connection refused: ${reason}`,
        ),
      {
        leftOut: (count) => this.#log.warn(`${count} more connections were refused`),
        last: () =>
          this.#log.warn(
            'Many connections were refused within a minute: those that follow in it are only counted',
          ),
      },
    )
  }
}
