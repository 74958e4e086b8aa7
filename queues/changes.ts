/**
 * "This changed" notices over Redis pub/sub: pages refresh and the relay wakes on them. Losing one costs a second, nothing more.
 * @module
 */
import { z } from 'zod'

/** The channel. */
export const changesChannel = 'rehost:changes'

/** Says what changed; readers look it up. */
export const changeNoticeSchema = z.object({
  kind: z.enum(['server', 'job', 'task', 'webhook']),
  id: z.string(),
  /** The revision that was written, from whoever knows it: who holds that one or a later one has heard nothing new. */
  revision: z.int().optional(),
  /** Of a server, from whoever has written it: whether events wait in it for the relay. */
  hasEvents: z.boolean().optional(),
})
export type ChangeNotice = z.infer<typeof changeNoticeSchema>

/** Publishes notices; given to whoever writes to the store. */
export interface ChangePublisher {
  publish(notice: ChangeNotice): Promise<void>
}

/** What publishing and listening need of a Redis client. */
interface PubSubClient {
  /** False while the connection is down: commands would wait for it to come back. */
  readonly isReady: boolean
  publish(channel: string, message: string): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>
  on(event: 'error' | 'ready', listener: () => void): unknown
}

/** Notices over Redis. Publishing is best effort: what could not be told is found by the next look. */
export class RedisChanges implements ChangePublisher {
  readonly #publisher: Pick<PubSubClient, 'publish' | 'isReady'>
  readonly #trouble: (message: string) => void
  readonly #listeners = new Set<(notice: ChangeNotice) => void>()
  #unbroken: symbol | undefined

  constructor(publisher: Pick<PubSubClient, 'publish' | 'isReady'>, trouble: (message: string) => void) {
    this.#publisher = publisher
    this.#trouble = trouble
  }

  /** Stays the same while no notice can have been missed; undefined while none comes. */
  get unbroken(): symbol | undefined {
    return this.#unbroken
  }

  /** Starts to receive, on a connection of its own: a subscribed one can do nothing else. */
  async receive(subscriber: Pick<PubSubClient, 'subscribe' | 'on'>): Promise<void> {
    subscriber.on('error', () => (this.#unbroken = undefined))
    // A connection that is back has subscribed again by then.
    subscriber.on('ready', () => (this.#unbroken = Symbol('unbroken')))
    await subscriber.subscribe(changesChannel, (message) => {
      const notice = changeNoticeSchema.safeParse(parseJson(message))
      if (!notice.success) return this.#trouble(`Ignored a malformed notice of ${message.length} characters`)
      for (const listener of this.#listeners) listener(notice.data)
    })
    this.#unbroken = Symbol('unbroken')
  }

  async publish(notice: ChangeNotice): Promise<void> {
    // Work goes on without Redis; a notice that waited for its return would be stale.
    if (!this.#publisher.isReady) return
    try {
      await this.#publisher.publish(changesChannel, JSON.stringify(notice))
    } catch (error) {
      this.#trouble(
        `Cannot tell that ${notice.kind} ${notice.id} changed: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }

  /** Calls `listener` for each notice until the function returned is called. */
  listen(listener: (notice: ChangeNotice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
