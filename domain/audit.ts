/**
 * The audit log: who asked for what, in one chain in which each entry holds the hash of the one before it. Whoever has the last hash can tell that nothing
 * was changed, taken out or put in.
 * @module
 */

/** What is written down, before the chain is added. */
export interface AuditFact {
  at: string
  /** A person, an API token, or an access key. */
  actor: string
  /** How it was asked for. */
  via: 'PAGE' | 'API' | 'MGN'
  /** What was asked for: an operation of MGN, or method and path. */
  action: string
  /** What it was about, where the action does not say so. */
  subject?: string
  /** Where the request came from. */
  address: string
  /** Asked is written before anything is done; refused, when it was not. */
  outcome: 'ASKED' | 'REFUSED'
  /** Why it was refused: a status of HTTP. */
  status?: number
}

/** One entry. */
export interface AuditEntry extends AuditFact {
  /** From 1, without gaps. */
  sequence: number
  previousHash: string
  hash: string
}

/** Before the first entry. */
export const auditStart = '0'.repeat(64)

/** SHA-256 of a text, in hexadecimal. */
export type HashText = (text: string) => string

/** The hash of an entry: over all its parts in a fixed order, and the hash before it. */
export function auditHash(entry: Omit<AuditEntry, 'hash'>, hash: HashText): string {
  const { sequence, at, actor, via, action, subject, address, outcome, status, previousHash } = entry
  return hash(
    JSON.stringify([
      sequence,
      at,
      actor,
      via,
      action,
      subject ?? null,
      address,
      outcome,
      status ?? null,
      previousHash,
    ]),
  )
}

/** The entry that follows `last`. */
export function nextEntry(last: AuditEntry | undefined, fact: AuditFact, hash: HashText): AuditEntry {
  const bare = { ...fact, sequence: (last?.sequence ?? 0) + 1, previousHash: last?.hash ?? auditStart }
  return { ...bare, hash: auditHash(bare, hash) }
}

/** What is wrong with a chain. */
export interface BrokenChain {
  sequence: number
  reason: string
}

/** Looks at entries one after the other. */
export class ChainCheck {
  readonly #hash: HashText
  #last: Pick<AuditEntry, 'sequence' | 'hash'>

  /** @param start the entry before the first one that comes; the beginning of all unless told. */
  constructor(
    hash: HashText,
    start: Pick<AuditEntry, 'sequence' | 'hash'> = { sequence: 0, hash: auditStart },
  ) {
    this.#hash = hash
    this.#last = start
  }

  /** The last entry that was good. */
  get last(): Pick<AuditEntry, 'sequence' | 'hash'> {
    return this.#last
  }

  /** What is wrong with the next entry; undefined when it continues the chain. */
  next(entry: AuditEntry): BrokenChain | undefined {
    const wanted = this.#last.sequence + 1
    const broken = (reason: string): BrokenChain => ({ sequence: wanted, reason })
    if (entry.sequence !== wanted)
      return broken(`entry ${wanted} is missing: ${entry.sequence} comes instead`)
    if (entry.previousHash !== this.#last.hash) return broken('it does not continue the entry before it')
    const { hash, ...bare } = entry
    if (auditHash(bare, this.#hash) !== hash) return broken('it was changed: its hash is not of what it says')
    this.#last = { sequence: entry.sequence, hash }
    return undefined
  }
}
