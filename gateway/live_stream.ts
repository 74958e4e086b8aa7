/**
 * Server-sent events: what the hub hands out, to one browser. Everything is cleaned up exactly once, whichever way the stream ends.
 * @module
 */
import type { Context } from 'hono'
import type { SSEStreamingApi } from 'hono/streaming'
import type { LiveHub, LiveView } from './live_hub.ts'
import type { Sendable } from './outlet.ts'
import type { SignedIn } from './people/sessions.ts'
import type { Services } from './services.ts'
import { streamSSE } from 'hono/streaming'
import { errorMessage } from '../domain/errors.ts'
import { Outlet } from './outlet.ts'
import { isAlive } from './people/sessions.ts'
import { Refusal } from './problem.ts'

/** Streams that one sign-in may hold open: tabs, with room for those that a browser has not closed yet. */
const maxStreamsPerSession = 12

/** Keeps proxies from closing a quiet stream, and looks whether the session still is. */
const keepAliveMs = 15_000

/** Opens and counts streams. */
export class LiveStreams {
  readonly #hub: LiveHub
  readonly #services: Pick<Services, 'store' | 'clock' | 'log'>
  readonly #perSession = new Map<string, number>()
  readonly #outlets = new Set<Outlet>()

  constructor(hub: LiveHub, services: Pick<Services, 'store' | 'clock' | 'log'>) {
    this.#hub = hub
    this.#services = services
  }

  /** Streams open now, in all sessions. */
  get count(): number {
    return this.#outlets.size
  }

  /** Ends every stream: browsers come back by themselves. */
  close(): void {
    for (const outlet of this.#outlets) outlet.end()
  }

  /** The stream of `topic` for `signedIn`. @throws Refusal 429 when the session has too many. */
  open(c: Context, signedIn: SignedIn, topic: string, render: () => Promise<LiveView>): Response {
    // The answer to a HEAD request has a body that nobody reads: its stream would never end.
    if (c.req.method !== 'GET') return c.body(null, 200, { 'Content-Type': 'text/event-stream' })
    const session = signedIn.sessionSha256
    const count = this.#perSession.get(session) ?? 0
    if (count >= maxStreamsPerSession) {
      throw new Refusal(
        429,
        'too-many-attempts',
        `This sign-in has ${count} live pages open already; close some`,
      )
    }
    this.#perSession.set(session, count + 1)
    // Proxies would hold events back to fill their buffers.
    c.header('X-Accel-Buffering', 'no')
    return streamSSE(c, (stream) => this.#run(c, stream, session, topic, render))
  }

  async #run(
    c: Context,
    stream: SSEStreamingApi,
    session: string,
    topic: string,
    render: () => Promise<LiveView>,
  ): Promise<void> {
    const outlet = new Outlet()
    const { signal } = c.req.raw
    const end = () => outlet.end()
    this.#outlets.add(outlet)
    signal.addEventListener('abort', end, { once: true })
    stream.onAbort(end)
    if (signal.aborted) end()
    const keepAlive = setInterval(() => void this.#stayAlive(outlet, session), keepAliveMs)
    const stopWatching = this.#hub.watch(topic, render, {
      show: (parts) => outlet.show(parts),
      gone: () => outlet.finish('gone'),
    })
    try {
      for (let next = await outlet.next(); next !== undefined; next = await outlet.next())
        await send(stream, next)
    } finally {
      clearInterval(keepAlive)
      stopWatching()
      signal.removeEventListener('abort', end)
      this.#outlets.delete(outlet)
      const rest = (this.#perSession.get(session) ?? 1) - 1
      if (rest > 0) this.#perSession.set(session, rest)
      else this.#perSession.delete(session)
    }
  }

  async #stayAlive(outlet: Outlet, session: string): Promise<void> {
    try {
      const alive = await isAlive(this.#services.store, session, this.#services.clock())
      if (alive === undefined) outlet.finish('signed-out')
      else outlet.comment()
    } catch (error) {
      // The store is away: the browser reconnects and meets whatever is true then.
      this.#services.log.warn({ error: errorMessage(error) }, 'Cannot look after a session; its stream ends')
      outlet.end()
    }
  }
}

async function send(stream: SSEStreamingApi, next: Sendable): Promise<void> {
  if (next.kind === 'parts') await stream.writeSSE({ data: next.html })
  else if (next.kind === 'event') await stream.writeSSE({ event: next.name, data: '' })
  else await stream.write(': still here\n\n')
}
