/**
 * The pace of writes that say nothing but "still there". After a restart of the gateway those of all agents are due in the same second, and would
 * keep coming together from then on, with everything else waiting behind them: they are let through one after the other instead. And no agent waits
 * for one: its answer would be the same.
 * @module
 */

/** All agents get their turn within this time. */
const roundMs = 6000

/** Fewer agents than this many a round need no order. */
const leastPerRound = 300

/** As much as one turn of the event loop may take is made up for. */
const toleranceMs = 100

/** Says when a quiet write may go, and knows those under way that nobody waits for. */
export class QuietWrites {
  readonly #agents: () => number
  readonly #nowMs: () => number
  /** Since when those that were put off have waited. */
  readonly #waiting = new Map<string, number>()
  readonly #underWay = new Map<string, Promise<void>>()
  #nextMs = -Infinity

  /** @param agents how many take turns. @param nowMs monotonic milliseconds. */
  constructor(agents: () => number, nowMs: () => number = () => performance.now()) {
    this.#agents = agents
    this.#nowMs = nowMs
  }

  /** Whether it is the turn of `id`. Who is put off comes again with its next heartbeat, and is not put off for longer than a round. */
  takeTurn(id: string): boolean {
    const nowMs = this.#nowMs()
    const perRound = Math.max(leastPerRound, this.#agents())
    const since = this.#waiting.get(id) ?? nowMs
    if (nowMs < this.#nextMs && nowMs - since < roundMs) {
      // Those that never came again are not counted for ever.
      if (this.#waiting.size > 2 * perRound) this.#waiting.clear()
      this.#waiting.set(id, since)
      return false
    }
    this.#waiting.delete(id)
    this.#nextMs = Math.max(this.#nextMs, nowMs - toleranceMs) + roundMs / perRound
    return true
  }

  /** Begins `write`, which tells of its own failure, unless one of `id` is under way: a store that is slow gets no more of them than there are agents. */
  begin(id: string, write: () => Promise<void>): void {
    if (this.#underWay.has(id)) return
    this.#underWay.set(
      id,
      write().finally(() => this.#underWay.delete(id)),
    )
  }

  /** Resolves once none is under way. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#underWay.values())
  }
}
