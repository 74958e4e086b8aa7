/**
 * Keeps the audit log: an entry is stored before what it tells of is done, so that nothing is done that it does not know.
 * @module
 */
import type { Context, MiddlewareHandler } from 'hono'
import type { AuditEntry, AuditFact } from '../domain/audit.ts'
import type { Store } from '../store/store.ts'
import type { TrustedProxies } from './trusted_proxies.ts'
import { nextEntry } from '../domain/audit.ts'
import { RevisionConflictError } from '../store/store.ts'
import { sha256 } from './secrets.ts'

/** Another gateway may write between two tries; so many in a row do not. */
const maxTries = 50

/** Nobody's name or path is longer; what is would fill the log. */
const maxTextLength = 300

/** The id of an entry: ids sort as entries came. */
export function auditId(sequence: number): string {
  return String(sequence).padStart(12, '0')
}

/** One chain, which several gateways may write. */
export class AuditLog {
  readonly #store: Store
  readonly #clock: () => Date
  #last: AuditEntry | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(store: Store, clock: () => Date) {
    this.#store = store
    this.#clock = clock
  }

  /** Writes an entry down, after those that were asked for before it. @throws when the store does not take it. */
  append(fact: Omit<AuditFact, 'at'>): Promise<AuditEntry> {
    const own = this.#turn.then(() => this.#write(fact))
    // Whoever asked hears of a failure; the next one begins anew.
    this.#turn = own.catch(() => undefined)
    return own
  }

  async #write(fact: Omit<AuditFact, 'at'>): Promise<AuditEntry> {
    const whole: AuditFact = {
      ...fact,
      actor: fact.actor.slice(0, maxTextLength),
      action: fact.action.slice(0, maxTextLength),
      ...(fact.subject === undefined ? {} : { subject: fact.subject.slice(0, maxTextLength) }),
      at: this.#clock().toISOString(),
    }
    for (let attempt = 1; ; attempt++) {
      this.#last ??= await this.#newest()
      const entry = nextEntry(this.#last, whole, sha256)
      try {
        await this.#store.create('auditEntry', { id: auditId(entry.sequence) }, entry)
        this.#last = entry
        return entry
      } catch (error) {
        // Another gateway was faster, or it is not known whether the write came through: what is stored tells.
        this.#last = undefined
        if (!(error instanceof RevisionConflictError) || attempt >= maxTries) throw error
      }
    }
  }

  async #newest(): Promise<AuditEntry | undefined> {
    const { items } = await this.#store.list('auditEntry', { limit: 1, descending: true })
    return items[0]?.value
  }
}

/** Who asks, as the app that uses {@link audited} knows it. */
export type ActorOf = (c: Context) => string

/** Writes down every call that may change something: before it is done, and again when it is refused. */
export function audited(
  services: { audit: AuditLog; trustedProxies: TrustedProxies },
  via: 'PAGE' | 'API',
  actorOf: ActorOf,
): MiddlewareHandler {
  return async function audited(c, next) {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
    const fact = {
      actor: actorOf(c),
      via,
      action: `${c.req.method} ${c.req.path}`,
      address: services.trustedProxies.callerAddress(c),
    }
    await services.audit.append({ ...fact, outcome: 'ASKED' })
    await next()
    const { status } = c.res
    if (status >= 400) await services.audit.append({ ...fact, outcome: 'REFUSED', status })
  }
}
