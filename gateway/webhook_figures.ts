/**
 * How webhooks do, for `/metrics`: what waits, and what became of the tries since this gateway started. Read from the store now and then, however often
 * it is asked for; each try is read once.
 * @module
 */
import type { WebhookId } from '../domain/ids.ts'
import type { WebhookAttempt, WebhookEndpoint } from '../domain/webhook.ts'
import type { Store } from '../store/store.ts'
import { listAll } from '../store/listing.ts'
import { encodeCursor } from '../store/paging.ts'

/** What was read is good for so long, and for many times as long as reading took. */
const leastAgeMs = 10_000
const agePerReading = 20

/**
 * Tries are listed by when they began, and written down when they have ended, by workers whose clocks may differ a little. Those that began within this
 * time are read later, so that none is passed over.
 */
const settledAfterMs = 90_000

/** Tries read at once: what is beyond that is read the next time. */
const pageAttempts = 500
const maxPages = 20

/** What became of tries. `DEAD` is one after which the delivery was given up: a dead letter. */
export const attemptOutcomes = ['DELIVERED', 'FAILED', 'DEAD'] as const satisfies WebhookAttempt['outcome'][]

/** How one endpoint does. */
export interface EndpointFigures {
  webhookId: WebhookId
  isEnabled: boolean
  /** Servers whose events wait to be sent. */
  lanesWaiting: number
  /** Since when the oldest of them has waited. */
  waitingSince: string | undefined
  attempts: Readonly<Record<WebhookAttempt['outcome'], number>>
}

interface Counted {
  attempts: Record<WebhookAttempt['outcome'], number>
  /** Tries up to this id are counted. */
  after: string
}

/** Reads and counts. */
export class WebhookFigures {
  readonly #store: Store
  readonly #clock: () => Date
  readonly #startedAt: string
  readonly #counted = new Map<WebhookId, Counted>()
  #reading: Promise<EndpointFigures[]> | undefined
  #goodUntilMs = -Infinity

  constructor(store: Store, clock: () => Date) {
    this.#store = store
    this.#clock = clock
    this.#startedAt = clock().toISOString()
  }

  /** The figures of every endpoint, at most a little old. @throws when the store cannot be read. */
  read(): Promise<EndpointFigures[]> {
    const nowMs = this.#clock().getTime()
    if (this.#reading !== undefined && nowMs < this.#goodUntilMs) return this.#reading
    // Until it is known how long it takes, nobody else begins.
    this.#goodUntilMs = Infinity
    this.#reading = this.#readAll().finally(() => {
      const endMs = this.#clock().getTime()
      this.#goodUntilMs = endMs + Math.max(leastAgeMs, (endMs - nowMs) * agePerReading)
    })
    this.#reading.catch(() => {
      this.#goodUntilMs = -Infinity
    })
    return this.#reading
  }

  async #readAll(): Promise<EndpointFigures[]> {
    const endpoints = await listAll(this.#store, 'webhook')
    const known = new Set(endpoints.map(({ webhookId }) => webhookId))
    for (const webhookId of this.#counted.keys()) if (!known.has(webhookId)) this.#counted.delete(webhookId)
    const found: EndpointFigures[] = []
    for (const endpoint of endpoints) found.push(await this.#readOne(endpoint))
    return found
  }

  async #readOne({ webhookId, isEnabled }: WebhookEndpoint): Promise<EndpointFigures> {
    const lanes = await listAll(this.#store, 'webhookLane', webhookId)
    const since = lanes.flatMap((lane) => lane.waitingSince ?? [])
    return {
      webhookId,
      isEnabled,
      lanesWaiting: lanes.length,
      waitingSince: since.reduce<string | undefined>(
        (oldest, own) => (oldest === undefined || own < oldest ? own : oldest),
        undefined,
      ),
      attempts: await this.#countAttempts(webhookId),
    }
  }

  async #countAttempts(webhookId: WebhookId): Promise<Counted['attempts']> {
    const counted = this.#counted.get(webhookId) ?? {
      attempts: { DELIVERED: 0, FAILED: 0, DEAD: 0 },
      after: this.#startedAt,
    }
    this.#counted.set(webhookId, counted)
    const before = new Date(this.#clock().getTime() - settledAfterMs).toISOString()
    for (let page = 0; page < maxPages; page++) {
      const { items, cursor } = await this.#store.list('webhookAttempt', {
        parent: webhookId,
        limit: pageAttempts,
        cursor: encodeCursor(counted.after),
      })
      for (const { value } of items) {
        if (value.at >= before) return { ...counted.attempts }
        counted.attempts[value.outcome] += 1
        counted.after = `${value.at}.${value.deliveryId}.${value.attempt}`
      }
      if (cursor === undefined) break
    }
    return { ...counted.attempts }
  }
}
