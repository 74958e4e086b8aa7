/**
 * Reading events of the service: those that there are, and those that come.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventEnvelope } from '../domain/event_envelope.ts'
import type { ApiClient } from './api_client.ts'
import { ApiError, UnreachableError } from './api_client.ts'

/** An event with its place: what is read after it comes after that. */
export interface ReadEvent {
  place: string
  event: EventEnvelope
}

/** Which events. */
export interface WantedEvents {
  /** A pattern as JSON. */
  pattern?: string | undefined
  /** The place that they come after. */
  after?: string | undefined
}

const eventsAtOnce = 500

/** A service that is away is asked again after this, and after twice as long each time. */
const firstPauseMs = 1000
const longestPauseMs = 30_000

/** The events that there are, oldest first. */
export async function* pastEvents(
  api: ApiClient,
  { pattern, after = '0' }: WantedEvents,
): AsyncGenerator<ReadEvent> {
  for (let next: string | undefined = after; next !== undefined;) {
    const query = new URLSearchParams({ limit: String(eventsAtOnce), nextToken: next })
    if (pattern !== undefined) query.set('pattern', pattern)
    const page: { items: ReadEvent[]; nextToken?: string } = await api.get(`/events?${query.toString()}`)
    yield* page.items
    next = page.nextToken
  }
}

/**
 * Events as they come, from `after` or from now on, until `signal` ends it. A connection that breaks is made again, and what came meanwhile is read.
 * @param onBreak hears why there is no connection just now.
 * @param pauseMs how long the first pause after a break is; shorter in tests.
 * @throws ApiError when the service refuses: with a status of 4xx that does not say when to come again. What a proxy answers for a service that is away is a break.
 */
export async function* comingEvents(
  api: ApiClient,
  { pattern, after }: WantedEvents,
  {
    signal,
    onBreak,
    pauseMs = firstPauseMs,
  }: { signal: AbortSignal; onBreak: (reason: string) => void; pauseMs?: number },
): AsyncGenerator<ReadEvent> {
  const query = pattern === undefined ? '' : `?${new URLSearchParams({ pattern }).toString()}`
  let pause = pauseMs
  for (let last = after; !signal.aborted;) {
    let askedToWaitMs = 0
    try {
      const headers: Record<string, string> = last === undefined ? {} : { 'last-event-id': last }
      const response = await api.open(`/events/stream${query}`, headers, signal)
      for await (const message of messagesOf(response)) {
        pause = pauseMs
        if (message.id !== '') last = message.id
        if (message.data !== '') yield { place: message.id, event: JSON.parse(message.data) as EventEnvelope }
      }
    } catch (error) {
      if (signal.aborted) return
      if (isRefusal(error) || error instanceof SyntaxError) throw error
      const isAnswered = error instanceof ApiError
      if (isAnswered) askedToWaitMs = Math.min(error.retryAfterMs ?? 0, longestPauseMs)
      onBreak(isAnswered || error instanceof UnreachableError ? error.message : 'The connection is lost')
    }
    // Between two connections the reader is not told that the signal came. Many readers of one service do not come back at the same moment.
    const waitMs = Math.max(askedToWaitMs, pause * (0.75 + Math.random() / 2))
    await sleep(waitMs, undefined, { signal }).catch(() => undefined)
    pause = Math.min(pause * 2, longestPauseMs)
  }
}

/** Whether asking again would be refused again. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && error.status < 500 && error.retryAfterMs === undefined
}

/** The messages of a stream of server-sent events. */
async function* messagesOf({ body }: Response): AsyncGenerator<{ id: string; data: string }> {
  if (body === null) return
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const field = (name: string): string =>
        block
          .split('\n')
          .filter((line) => line.startsWith(`${name}: `))
          .map((line) => line.slice(name.length + 2))
          .join('\n')
      yield { id: field('id'), data: field('data') }
    }
  }
}
