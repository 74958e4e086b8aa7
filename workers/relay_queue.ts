/**
 * The servers of which a notice says that they changed, and which are to be relayed: each once, however often it is told, and a few at a time.
 *
 * After an import thousands are told within seconds. Relayed all at once, each would try the same next place in the feed and lose it to the others,
 * thousands of times, and a job that ends meanwhile would wait behind all of their requests to the store.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'

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

  /** A server changed. One that is being relayed is looked at once more after that: its relay may have read it before. */
  add(id: SourceServerId): void {
    this.#waiting.add(id)
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
