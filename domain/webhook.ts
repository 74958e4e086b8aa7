/**
 * Webhooks: where events are sent, what is still to be sent, and what came of it.
 *
 * A *lane* is what one endpoint gets of one server. Its deliveries are sent one after the other: one that fails holds back those behind it, until it
 * is delivered or given up, and no other lane.
 * @module
 */
import type { EnvelopeSource } from './event_envelope.ts'
import type { EventPattern } from './event_pattern.ts'
import type { SourceServerId, WebhookId } from './ids.ts'

/** A secret that signs. */
export interface WebhookSecret {
  /** As `SecretBox` of the store has sealed it. */
  sealed: string
  createdAt: string
  /** It has been replaced, and signs beside the new one until then. */
  signsUntil?: string
}

/** Where events are sent. */
export interface WebhookEndpoint {
  webhookId: WebhookId
  url: string
  description: string
  pattern: EventPattern
  /** The newest first. */
  secrets: WebhookSecret[]
  isEnabled: boolean
  /** In a sentence, when Rehost has disabled it. */
  disabledBecause?: string
  createdAt: string
  createdBy: string
}

/** Deliveries are in lanes: a server's, or that of the test button. */
export type LaneId = SourceServerId | 'test'

/** PENDING → DELIVERED or DEAD; replaying leads back to PENDING. */
export type DeliveryState = 'PENDING' | 'DELIVERED' | 'DEAD'

/** One event for one endpoint. */
export interface WebhookDelivery {
  deliveryId: string
  webhookId: WebhookId
  laneId: LaneId
  /** What is sent as `webhook-id`: the id of the envelope. */
  eventId: string
  source: EnvelopeSource
  detailType: string
  eventAt: string
  /** Sent as it is at every try, so that a receiver can compare. */
  body: string
  state: DeliveryState
  /** Tries so far, since it was made or replayed. */
  attempts: number
  createdAt: string
  settledAt?: string
}

/** What an endpoint is still to get of one server. Gone once all of it is settled. */
export interface WebhookLane {
  webhookId: WebhookId
  laneId: LaneId
  /** All deliveries up to this id are settled. */
  after: string
  /** Raised by whoever adds or replays a delivery, so that a lane that is just about to go is seen to have got something. */
  additions: number
  /** Nothing that waits in it has waited since before this moment. */
  waitingSince?: string
  /** Not tried before this moment. */
  nextAttemptAt?: string
  /** Who is sending, and until when he may be thought to. */
  lease?: { owner: string; until: string }
}

/** One try. */
export interface WebhookAttempt {
  at: string
  deliveryId: string
  eventId: string
  detailType: string
  laneId: LaneId
  /** Which try of the delivery it was, from 1. */
  attempt: number
  outcome: 'DELIVERED' | 'FAILED' | 'DEAD'
  statusCode?: number
  /** The first characters of what was answered. */
  responseBegin?: string
  /** Why it counts as failed, in a sentence. */
  problem?: string
  durationMs: number
}

const seconds = 1000
const minutes = 60 * seconds
const hours = 60 * minutes

/** After each failure the next try comes after this time, about; after the last one there is none: 3 days and 8 hours from the first. */
const retryDelaysMs: readonly number[] = [
  5 * seconds,
  30 * seconds,
  2 * minutes,
  10 * minutes,
  30 * minutes,
  2 * hours,
  5 * hours,
  10 * hours,
  14 * hours,
  24 * hours,
  24 * hours,
]

/** Each wait is longer or shorter by up to this share, so that what failed together does not come back together. */
const jitterShare = 0.2

/** The longest wait there is. */
export const longestRetryDelayMs = Math.max(...retryDelaysMs) * (1 + jitterShare)

/**
 * How long to wait after try `attempts` has failed; undefined when it was the last.
 * @param chance from 0 to 1, by chance
 */
export function retryDelayMs(attempts: number, chance: number): number | undefined {
  const delay = retryDelaysMs[attempts - 1]
  return delay === undefined ? undefined : Math.round(delay * (1 + jitterShare * (2 * chance - 1)))
}

/** The secrets of `endpoint` that sign at `at`, the newest first. */
export function signingSecrets(endpoint: WebhookEndpoint, at: string): WebhookSecret[] {
  return endpoint.secrets.filter(({ signsUntil }) => signsUntil === undefined || at < signsUntil)
}

/** `endpoint` with `next` as its secret; those before sign beside it until `until`, and those that sign no more are forgotten. */
export function withRotatedSecret(
  endpoint: WebhookEndpoint,
  next: WebhookSecret,
  until: string,
): WebhookEndpoint {
  const before = signingSecrets(endpoint, next.createdAt).map((secret) => ({
    ...secret,
    signsUntil: secret.signsUntil === undefined || secret.signsUntil > until ? until : secret.signsUntil,
  }))
  const kept = before.filter(({ signsUntil }) => signsUntil > next.createdAt)
  return { ...endpoint, secrets: [next, ...kept].slice(0, maxSecrets) }
}

/** Signatures that one request may carry; rotating more often forgets the oldest. */
const maxSecrets = 4
