/**
 * Webhooks as they are answered.
 * @module
 */
import type { EventPattern } from '../../../domain/event_pattern.ts'
import type { WebhookId } from '../../../domain/ids.ts'
import type {
  LaneId,
  WebhookAttempt,
  WebhookDelivery,
  WebhookEndpoint,
  WebhookSecret,
} from '../../../domain/webhook.ts'
import { z } from 'zod'
import { amount, answerOf, anyJson, count, idOf, listOf, moment, pageOf } from './answer_schema.ts'
import { envelopeSource } from './event_answers.ts'

const webhookId = idOf<WebhookId>('a webhook')
const laneId: z.ZodType<LaneId> = z
  .string()
  .meta({ description: 'Id of the server that the event is of, or test' }) as never

const pattern: z.ZodType<EventPattern> = z.record(z.string(), anyJson).meta({
  id: 'EventPattern',
  description: 'In EventBridge’s pattern language; {} takes every event',
}) as never

/** An endpoint without its secrets. */
export const webhook = answerOf<
  Omit<WebhookEndpoint, 'secrets'> & { secrets: Omit<WebhookSecret, 'sealed'>[] }
>()(
  z
    .object({
      webhookId,
      url: z.string(),
      description: z.string(),
      pattern,
      secrets: z.array(z.object({ createdAt: moment, signsUntil: moment.exactOptional() })),
      isEnabled: z.boolean(),
      disabledBecause: z.string().exactOptional(),
      createdAt: moment,
      createdBy: z.string(),
    })
    .meta({ id: 'Webhook', description: 'Where events are sent' }),
)
export type WebhookView = z.infer<typeof webhook>

/** Endpoints. */
export const webhooks = listOf(webhook)
export type Webhooks = z.infer<typeof webhooks>

/** An endpoint with a secret that is shown once. */
export const webhookWithSecret = webhook
  .extend({ secret: z.string() })
  .meta({ id: 'WebhookWithSecret', description: 'A webhook with its new secret, which is never shown again' })
export type WebhookWithSecret = z.infer<typeof webhookWithSecret>

/** One event for one endpoint. */
export const delivery = answerOf<WebhookDelivery>()(
  z
    .object({
      deliveryId: z.string(),
      webhookId,
      laneId,
      eventId: z.string(),
      source: envelopeSource,
      detailType: z.string(),
      eventAt: moment,
      body: z.string().meta({
        description: 'An EventEnvelope as JSON, as it is sent',
        contentMediaType: 'application/json',
      }),
      state: z.enum(['PENDING', 'DELIVERED', 'DEAD']),
      attempts: count,
      createdAt: moment,
      settledAt: moment.exactOptional(),
    })
    .meta({ id: 'WebhookDelivery', description: 'One event for one webhook' }),
)

/** Deliveries, page by page. */
export const deliveryPage = pageOf(delivery)
export type DeliveryPage = z.infer<typeof deliveryPage>

/** Tries, page by page. */
export const attemptPage = pageOf(
  answerOf<WebhookAttempt>()(
    z
      .object({
        at: moment,
        deliveryId: z.string(),
        eventId: z.string(),
        detailType: z.string(),
        laneId,
        attempt: count,
        outcome: z.enum(['DELIVERED', 'FAILED', 'DEAD']),
        statusCode: count.exactOptional(),
        responseBegin: z.string().exactOptional(),
        problem: z.string().exactOptional(),
        durationMs: amount,
      })
      .meta({ id: 'WebhookAttempt', description: 'One try to deliver an event' }),
  ),
)
export type AttemptPage = z.infer<typeof attemptPage>

/** What a replay has begun. */
export const replayed = z.object({ deliveries: count })
export type Replayed = z.infer<typeof replayed>
