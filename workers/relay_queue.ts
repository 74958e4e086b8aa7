/**
 * The servers of which a notice says that they changed, and which are to be relayed: each once, however often it is told, and a few at a time.
 *
 * After an import thousands are told within seconds. Relayed all at once, each would try the same next place in the feed and lose it to the others,
 * thousands of times, and a job that ends meanwhile would wait behind all of their requests to the store.
 *
 * Most notices are of heartbeats without news, in a large fleet a thousand a second: those that say so are not looked at, or what has happened would
 * wait behind thousands of servers to which nothing has.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { ChangeNotice } from '../queues/changes.ts'

/** Enough for the store to be busy while one waits for it, and few enough that two seldom want the same place. */
const relaysAtOnce = 8

/** What a queue works with. */
export interface RelayQueueContext {
  /** Relays what waits in the outbox of one server. */
  relay(id: SourceServerId): Promise<void>
  /** Told of each relay that failed. The reconciler does it again. */
  trouble(id: SourceServerId, error: unknown): void
}

/** The queue of one worker. */
export class RelayQueue {
  readonly #context: RelayQueueContext
  readonly #waiting = new Set<SourceServerId>()
  readonly #running = new Set<SourceServerId>()

  constructor(context: RelayQueueContext) {
    this.#context = context
  }

  /** A server may have events to relay. One that is being relayed is looked at once more after that: its relay may have read it before. */
  hear({ kind, id, hasEvents = true }: ChangeNotice): void {
    if (kind !== 'server' || !hasEvents) return
    this.#waiting.add(id as SourceServerId)
    this.#begin()
  }

  #begin(): void {
    for (const id of this.#waiting) {
      if (this.#running.size >= relaysAtOnce) return
      if (this.#running.has(id)) continue
      this.#waiting.delete(id)
      this.#running.add(id)
      void this.#run(id)
    }
  }

  async #run(id: SourceServerId): Promise<void> {
    try {
      await this.#context.relay(id)
    } catch (error) {
      this.#context.trouble(id, error)
    }
    this.#running.delete(id)
    this.#begin()
  }
}
