/**
 * Events as they are answered: a server's own, and EventBridge's envelopes of them.
 * @module
 */
import type { EventEnvelope } from '../../../domain/event_envelope.ts'
import type { RelayedEvent } from '../../../domain/server_event.ts'
import { z } from 'zod'
import { rehostDetailTypes } from '../../../domain/event_envelope.ts'
import { answerOf, count, moment } from './answer_schema.ts'

const detail = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))

const eventTypes = Object.keys(rehostDetailTypes) as (keyof typeof rehostDetailTypes)[]

/** An event of a server, with its place among those of all servers once it has one. */
export const relayedEvent = answerOf<RelayedEvent>()(
  z
    .object({
      sequence: count,
      at: moment,
      type: z.enum(eventTypes),
      actor: z.string(),
      message: z.string(),
      level: z.enum(['INFO', 'WARNING', 'ERROR']),
      detail,
      position: count.exactOptional(),
    })
    .meta({
      id: 'RelayedEvent',
      description: 'Something that happened to a server, with its place among the events of all servers',
    }),
)

/** Whose words an envelope uses. */
export const envelopeSource = z.enum(['aws.mgn', 'rehost'])

/** An event as subscribers get it. */
export const eventEnvelope = answerOf<EventEnvelope>()(
  z
    .object({
      version: z.literal('0'),
      id: z.string(),
      'detail-type': z.string(),
      source: envelopeSource,
      account: z.string(),
      time: moment,
      region: z.string(),
      resources: z.array(z.string()),
      detail,
    })
    .meta({ id: 'EventEnvelope', description: 'An event in EventBridge’s envelope' }),
)

/** Events of all servers, page by page. */
export const eventPage = z.object({
  items: z.array(z.object({ place: z.string(), event: eventEnvelope })),
  lastEventId: z.string().meta({ description: 'Asked for later as nextToken, it gives what has come since' }),
  nextToken: z.string().exactOptional().meta({
    description:
      'Where the next page begins. Only a missing one is the end: a page with it may be short, or empty',
  }),
})
export type EventPage = z.infer<typeof eventPage>
