/**
 * The pace of writes that say nothing but "still there". After a restart of the gateway those of all agents are due in the same second, and would
 * keep coming together from then on, with everything else waiting behind them: they are let through one after the other instead.
 * @module
 */

/** All agents get their turn within this time: less than from one quiet write to the next, so that nobody's is ever put off for long. */
const roundMs = 6000

/** Fewer agents than this many a round need no order. */
const leastPerRound = 300

/** As much as one turn of the event loop may take is made up for. */
const toleranceMs = 100

/** Says when a quiet write may go. */
export class QuietWrites {
  readonly #agents: () => number
  readonly #nowMs: () => number
  #nextMs = -Infinity

  /** @param agents how many take turns. @param nowMs monotonic milliseconds. */
  constructor(agents: () => number, nowMs: () => number = () => performance.now()) {
    this.#agents = agents
    this.#nowMs = nowMs
  }

  /** Takes the next turn, if it has come. Whoever gets none comes again with its next heartbeat. */
  takeTurn(): boolean {
    const nowMs = this.#nowMs()
    if (nowMs < this.#nextMs) return false
    const intervalMs = roundMs / Math.max(leastPerRound, this.#agents())
    this.#nextMs = Math.max(this.#nextMs, nowMs - toleranceMs) + intervalMs
    return true
  }
}
