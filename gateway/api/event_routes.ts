/**
 * `/api/v1/events`: the events of all servers, in the order in which they were relayed; page by page, or as a stream.
 * @module
 */
import type { EventPattern } from '../../domain/event_pattern.ts'
import type { Services } from '../services.ts'
import type { EventPage } from './answers/event_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import { InvalidInputError } from '../../domain/errors.ts'
import { readEventPattern } from '../../domain/read_event_pattern.ts'
import { maxLookedAt, readPage, readPlace, requireReached, writePlace } from '../event_places.ts'
import { parseJson, readQuery } from '../request.ts'

const patternText = z
  .string()
  .max(4096)
  .optional()
  .meta({ description: 'Only events that match this event pattern, in EventBridge’s language, as JSON' })

/** Which events are asked for. */
export const eventListQuery = z.object({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(500)
    .default(100)
    .meta({
      description: `Never more items than this; fewer, or none, also before the end: a call looks at up to ${maxLookedAt} events`,
    }),
  nextToken: z.string().max(40).optional().meta({
    description:
      'From the page before, or a lastEventId or place seen earlier; without it, from the oldest event on',
  }),
  pattern: patternText,
})

/** Which events a stream has. */
export const eventStreamQuery = z.object({
  lastEventId: z.string().max(40).optional().meta({
    description:
      'Events after this place, 0 for all; the header Last-Event-ID goes before it. Without either, what comes from now on',
  }),
  pattern: patternText,
})

/** The pattern that stands in an address, as JSON. @throws InvalidInputError. */
function readPattern(text: string | undefined): EventPattern {
  if (text === undefined) return {}
  const json = parseJson(text)
  if (json === undefined) throw new InvalidInputError('pattern', 'Cannot read the pattern: it is not JSON')
  return readEventPattern(json)
}

/** The routes. */
export function eventRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/', async (c) => {
    const { limit, nextToken = '0', pattern } = readQuery(c, eventListQuery)
    const after = readPlace(nextToken, 'nextToken')
    const { found, next, isEnd } = await readPage(services, after, readPattern(pattern), limit)
    // Behind a place that no event has reached there is nothing: only then it is looked for.
    if (isEnd && found.length === 0) await requireReached(services.store, after, 'nextToken')
    const items = found.map(({ place, envelope }) => ({ place: writePlace(place), event: envelope }))
    // Also at the end: whoever asks with it later gets what has come since.
    const more = isEnd ? {} : { nextToken: writePlace(next) }
    return c.json({ items, lastEventId: writePlace(next), ...more } satisfies EventPage)
  })

  app.get('/stream', async (c) => {
    const { lastEventId, pattern } = readQuery(c, eventStreamQuery)
    const inHeader = c.req.header('last-event-id')
    const last = inHeader ?? lastEventId ?? ''
    const field = inHeader === undefined ? 'lastEventId' : 'the header Last-Event-ID'
    const after = last === '' ? undefined : readPlace(last, field)
    if (after !== undefined) await requireReached(services.store, after, field)
    const wanted = { after, pattern: readPattern(pattern) }
    const { tokenSha256 } = c.get('token')
    return services.eventStreams.open(c, tokenSha256, wanted, async () => {
      return (await services.store.get('apiToken', { id: tokenSha256 })) !== undefined
    })
  })
  return app
}
