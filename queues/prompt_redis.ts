/**
 * Redis for those who ask hundreds of times a second and wait for no answer for long: notices and live figures.
 * @module
 */
import type { RedisClient } from './redis.ts'

/** Five seconds of a thousand heartbeats. Each takes 4 kB until it is answered. */
export const mostUnanswered = 5000

type SetOptions = NonNullable<Parameters<RedisClient['set']>[2]>

/**
 * A client for callers with a deadline of their own who ask only while it is ready. By itself each command has a signal that aborts after 5 s if it could not
 * be sent until then: it lives that long though the answer comes in a millisecond, and hundreds a second are most of what a garbage collector has to do.
 * Without it nothing ends what a Redis that hangs does not take, so that no more than {@link mostUnanswered} are asked.
 */
export class PromptRedis {
  readonly #client: RedisClient
  #unanswered = 0

  constructor(client: RedisClient) {
    this.#client = client.withCommandOptions({ timeout: 0 })
  }

  /** False while the connection is down, and while too much waits for its answer: what came then would only wait too. */
  get isReady(): boolean {
    return this.#client.isReady && this.#unanswered < mostUnanswered
  }

  publish(channel: string, message: string): Promise<number> {
    return this.#counted(this.#client.publish(channel, message))
  }

  mGet(keys: string[]): Promise<(string | null)[]> {
    return this.#counted(this.#client.mGet(keys))
  }

  set(key: string, value: string, options: SetOptions): Promise<string | null> {
    return this.#counted(this.#client.set(key, value, options))
  }

  async #counted<T>(answer: Promise<T>): Promise<T> {
    this.#unanswered += 1
    try {
      return await answer
    } finally {
      this.#unanswered -= 1
    }
  }
}
