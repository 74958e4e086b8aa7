/**
 * Refused calls on the agent port in the log, where they outlast the dashboard's memory and a restart. Whoever reaches the port can be
 * refused as often as they like and must not fill the disk: the same refusal is written at its first, tenth, hundredth time and so on, and
 * all of them together fill no more than so many lines a minute.
 * @module
 */
import type { Log } from './log.ts'
import type { RefusedCall } from './refusals.ts'
import { LineBudget } from '../domain/line_budget.ts'

/** Lines a minute. */
const maxLines = 60

/** Writes refused calls down. */
export class RefusalLog {
  readonly #log: Log
  readonly #budget: LineBudget

  /** @param nowMs monotonic milliseconds. */
  constructor(log: Log, nowMs: () => number = () => performance.now()) {
    this.#log = log
    this.#budget = new LineBudget(maxLines, nowMs)
  }

  /** Writes `call` down, unless the same was written lately or too much was. */
  add({ kind, address, subject, tokenId, count, detail }: RefusedCall): void {
    if (!isPowerOfTen(count)) return
    this.#write(
      { event: 'call-refused', kind, address, subject, tokenId, count },
      `Call on the agent port refused: ${detail}`,
    )
  }

  /** Writes down that a connection from `address` was not taken, or ended, for want of room. */
  addConnection(address: string, reason: string): void {
    this.#write({ event: 'connection-refused', address }, `Connection on the agent port refused: ${reason}`)
  }

  #write(fields: Record<string, unknown>, message: string): void {
    this.#budget.spend(() => this.#log.warn(fields, message), {
      leftOut: (count) =>
        this.#log.warn(
          { event: 'calls-refused', count },
          `${count} more refusals on the agent port were not written down`,
        ),
      last: () =>
        this.#log.warn(
          { event: 'calls-refused' },
          'Much was refused on the agent port within a minute: what follows in it is only counted',
        ),
    })
  }
}

/** 1, 10, 100 and so on. */
function isPowerOfTen(count: number): boolean {
  return /^10*$/.test(String(count))
}
