/**
 * A wait that can be cut short from elsewhere.
 * @module
 */
import type { Clock } from './clock.ts'

/** One wait at a time, and whoever wants it to end. */
export class Pause {
  readonly #clock: Clock
  #wake: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves after `ms`, with {@link end}, or when `signal` is aborted. */
  async rest(ms: number, signal?: AbortSignal): Promise<void> {
    const woken = new AbortController()
    this.#wake = () => woken.abort(new Error('Woken'))
    const ends = signal === undefined ? woken.signal : AbortSignal.any([signal, woken.signal])
    await this.#clock.sleep(ms, ends).catch((error: unknown) => {
      if (!ends.aborted) throw error
    })
    this.#wake = undefined
  }

  /** Ends the wait under way, if there is one. */
  end(): void {
    this.#wake?.()
  }
}
