/**
 * Refused connections in the log: each with its reason, but no more than so many a minute, or whoever reaches the port could fill the
 * disk.
 * @module
 */
import type { Logger } from 'pino'

/** Lines a minute. */
const maxLines = 60

const minuteMs = 60_000

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
  readonly #nowMs: () => number
  #minuteBegan: number
  #lines = 0
  #leftOut = 0

  /** @param nowMs monotonic milliseconds. */
  constructor(log: Logger, nowMs: () => number = () => performance.now()) {
    this.#log = log
    this.#nowMs = nowMs
    this.#minuteBegan = nowMs()
  }

  add({ remoteAddress, code, reason, expected, actual }: Refusal): void {
    if (this.#nowMs() - this.#minuteBegan >= minuteMs) this.#beginMinute()
    if (this.#lines >= maxLines) {
      this.#leftOut++
      return
    }
    this.#lines++
    this.#log.warn(
      { event: 'connection-refused', remoteAddress, code, expected, actual },
      `Connection refused: ${reason}`,
    )
    if (this.#lines === maxLines)
      this.#log.warn(
        'Many connections were refused within a minute: those that follow in it are only counted',
      )
  }

  #beginMinute(): void {
    if (this.#leftOut > 0) this.#log.warn(`${this.#leftOut} more connections were refused`)
    this.#minuteBegan = this.#nowMs()
    this.#lines = 0
    this.#leftOut = 0
  }
}
