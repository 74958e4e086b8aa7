/**
 * Calls on the agent port that were refused, for the pages where an operator wonders why nothing happens. In memory, per gateway, bounded
 * and forgotten soon: callers who are refused have shown nothing, so they must not be able to fill the store. An agent that is refused
 * calls again, so a restarted gateway soon knows it again. What lasts is the log's: see `refusal_log.ts`.
 * @module
 */

/** Refusals remembered at once; beyond that the oldest are forgotten. */
const maxRefusals = 50

/** A refusal is shown this long. */
const rememberedMs = 15 * 60_000

/** Who was refused, as far as the call says it. Nothing of it is proven. */
export interface RefusedCaller {
  address: string
  /** Who the call says it is about: the name of the server that enrols, or the id in a certificate. */
  subject?: string | undefined
  /** Id of the installation token that was shown. */
  tokenId?: string | undefined
}

/** A refused call. */
export interface RefusedCall extends RefusedCaller {
  /** First contact with a token, or a call with a certificate. */
  kind: 'ENROLMENT' | 'CERTIFICATE'
  /** The last time. */
  at: string
  /** How often, with the same words. */
  count: number
  /** What is wrong and what to do. */
  detail: string
}

/** The refusals of this gateway. */
export class Refusals {
  readonly #clock: () => Date
  readonly #calls = new Map<string, RefusedCall>()

  constructor(clock: () => Date) {
    this.#clock = clock
  }

  /** Remembers a refusal; the same one again is counted, from one again when it was forgotten. What is remembered now. */
  note(kind: RefusedCall['kind'], caller: RefusedCaller, detail: string): RefusedCall {
    const { address, subject, tokenId } = caller
    const key = JSON.stringify([kind, address, subject, tokenId, detail])
    const known = this.#calls.get(key)
    const count = known === undefined || known.at < this.#oldestAt() ? 1 : known.count + 1
    const call = { kind, address, subject, tokenId, detail, count, at: this.#clock().toISOString() }
    this.#calls.delete(key)
    this.#calls.set(key, call)
    const oldest = this.#calls.keys().next()
    if (this.#calls.size > maxRefusals && oldest.done !== true) this.#calls.delete(oldest.value)
    return call
  }

  /** The refusals since `since` that are not forgotten yet, newest first. */
  list(since = ''): RefusedCall[] {
    const oldest = this.#oldestAt()
    return [...this.#calls.values()].filter(({ at }) => at >= since && at >= oldest).toReversed()
  }

  /** Refusals before this moment are forgotten. */
  #oldestAt(): string {
    return new Date(this.#clock().getTime() - rememberedMs).toISOString()
  }
}
