/**
 * Server-sent events for programs: every event of all servers, in one order, from wherever the reader was. What is read comes from the store, so a
 * notice that is lost costs a second and no event.
 * @module
 */
import type { Context } from 'hono'
import type { SSEStreamingApi } from 'hono/streaming'
import type { ChangeFeed } from './change_feed.ts'
import type { Log } from './log.ts'
import type { EventOrigin } from '../domain/event_envelope.ts'
import type { EventPattern } from '../domain/event_pattern.ts'
import type { Store } from '../store/store.ts'
import type { StreamPlace } from './event_places.ts'
import { streamSSE } from 'hono/streaming'
import { errorMessage } from '../domain/errors.ts'
import { feedEnd } from '../store/event_feed.ts'
import { lastPart, readEnvelopes, writePlace } from './event_places.ts'
import { Refusal } from './problem.ts'

/** Streams that one token may hold open, and all together. */
const maxStreams = { ofOne: 12, inAll: 200 }

/** The feed is looked at this often when no notice comes. */
const lookMs = 1000

/** Keeps proxies from closing a quiet stream, and looks whether the token still is. */
const keepAliveMs = 15_000

/** Places of the feed that are read at a time: so much of it waits in memory for a slow reader. */
const placesAtOnce = 50

/** What streams need. */
export interface EventStreamParts {
  store: Store
  origin: EventOrigin
  changes: Pick<ChangeFeed, 'listen'>
  log: Log
}

/** Opens and counts streams. */
export class EventStreams {
  readonly #parts: EventStreamParts
  readonly #perOwner = new Map<string, number>()
  readonly #ends = new Set<AbortController>()

  constructor(parts: EventStreamParts) {
    this.#parts = parts
  }

  /** Streams open now. */
  get count(): number {
    return this.#ends.size
  }

  /** Ends every stream: readers come back with the last id they have seen. */
  close(): void {
    for (const end of this.#ends) end.abort()
  }

  /**
   * A stream from `after` on, or of what comes from now on.
   * @param isAllowed asked now and then; the stream ends once it answers no.
   * @throws Refusal 429 when there are too many.
   */
  async open(
    c: Context,
    owner: string,
    wanted: { after: StreamPlace | undefined; pattern: EventPattern },
    isAllowed: () => Promise<boolean>,
  ): Promise<Response> {
    // The answer to a HEAD request has a body that nobody reads: its stream would never end.
    if (c.req.method !== 'GET') return c.body(null, 200, { 'Content-Type': 'text/event-stream' })
    const count = this.#perOwner.get(owner) ?? 0
    if (count >= maxStreams.ofOne || this.#ends.size >= maxStreams.inAll)
      throw new Refusal(
        429,
        'too-many-attempts',
        `There are ${this.#ends.size} streams of events open, ${count} of this token; close some`,
      )
    const after = wanted.after ?? { position: await feedEnd(this.#parts.store), part: lastPart }
    const end = new AbortController()
    this.#ends.add(end)
    this.#perOwner.set(owner, count + 1)
    const close = (): void => end.abort()
    c.req.raw.signal.addEventListener('abort', close, { once: true })
    if (c.req.raw.signal.aborted) close()
    // Proxies would hold events back to fill their buffers.
    c.header('X-Accel-Buffering', 'no')
    return streamSSE(c, async (stream) => {
      stream.onAbort(close)
      try {
        await this.#run(stream, { after, pattern: wanted.pattern }, isAllowed, end.signal)
      } catch (error) {
        // The reader comes back and goes on where it was.
        this.#parts.log.warn({ error: errorMessage(error) }, 'A stream of events ends early')
      } finally {
        c.req.raw.signal.removeEventListener('abort', close)
        this.#ends.delete(end)
        const rest = (this.#perOwner.get(owner) ?? 1) - 1
        if (rest > 0) this.#perOwner.set(owner, rest)
        else this.#perOwner.delete(owner)
      }
    })
  }

  async #run(
    stream: SSEStreamingApi,
    wanted: { after: StreamPlace; pattern: EventPattern },
    isAllowed: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<void> {
    const bell = new Bell(this.#parts.changes, signal)
    let after = wanted.after
    let checkedMs = performance.now()
    // Without data it is no event: it tells a reader who loses the connection before the first one where to go on.
    await stream.write(`: events follow\nid: ${writePlace(after)}\n\n`)
    while (!signal.aborted) {
      const { found, next, isEnd } = await readEnvelopes(this.#parts, after, wanted.pattern, placesAtOnce)
      for (const { place, envelope } of found) {
        if (signal.aborted) return
        await stream.writeSSE({ id: writePlace(place), data: JSON.stringify(envelope) })
      }
      after = next
      if (performance.now() - checkedMs > keepAliveMs) {
        if (!(await isAllowed())) return
        await stream.write(`: still here\nid: ${writePlace(after)}\n\n`)
        checkedMs = performance.now()
      }
      if (isEnd) await bell.wait(lookMs)
    }
  }
}

/** Rings when something has changed. What changes while nobody waits is rung for at once. */
class Bell {
  #hasRung = false
  #wake: (() => void) | undefined

  constructor(changes: Pick<ChangeFeed, 'listen'>, signal: AbortSignal) {
    const stopListening = changes.listen(({ kind }) => {
      if (kind === 'server') this.#ring()
    })
    signal.addEventListener(
      'abort',
      () => {
        stopListening()
        this.#ring()
      },
      { once: true },
    )
  }

  #ring(): void {
    this.#hasRung = true
    this.#wake?.()
  }

  /** Until it rings, or `milliseconds` have passed. */
  async wait(milliseconds: number): Promise<void> {
    if (!this.#hasRung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#hasRung = false
  }
}
