/**
 * Putting deliveries into lanes. Used by the relay, for each event, and by the gateway, for replays and tests. A delivery is written before its lane
 * is told, and both may be done again: what is settled stays settled.
 * @module
 */
import type { EventEnvelope } from '../domain/event_envelope.ts'
import type { WebhookId } from '../domain/ids.ts'
import type { LaneId, WebhookAttempt, WebhookDelivery } from '../domain/webhook.ts'
import type { Store } from './store.ts'
import { envelopeSources } from '../domain/event_envelope.ts'
import { listAll } from './listing.ts'
import { mutate } from './mutate.ts'
import { RevisionConflictError } from './store.ts'

/** What sorts before every delivery of `order` in its lane, and after all of lower order. */
function orderBound(laneId: LaneId, order: number): string {
  return `${laneId}.${String(order).padStart(15, '0')}`
}

/** What the ids of a lane's deliveries begin with. */
export function lanePrefix(laneId: LaneId): string {
  return `${laneId}.`
}

/** A delivery of `envelope`, nothing of it tried. `order` is the sequence of the event. */
export function newDelivery(
  webhookId: WebhookId,
  laneId: LaneId,
  order: number,
  envelope: EventEnvelope,
  at: string,
): WebhookDelivery {
  return {
    deliveryId: `${orderBound(laneId, order)}.${envelopeSources.indexOf(envelope.source)}`,
    webhookId,
    laneId,
    eventId: envelope.id,
    source: envelope.source,
    detailType: envelope['detail-type'],
    eventAt: envelope.time,
    body: JSON.stringify(envelope),
    state: 'PENDING',
    attempts: 0,
    createdAt: at,
  }
}

/** Makes sure that `delivery` is there and, unless it is settled, that its lane knows. */
export async function ensureDelivery(store: Store, delivery: WebhookDelivery): Promise<void> {
  const key = { parent: delivery.webhookId, id: delivery.deliveryId }
  try {
    await store.create('webhookDelivery', key, delivery)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
    const known = await store.get('webhookDelivery', key)
    if (known?.value.state !== 'PENDING') return
  }
  await tellLane(store, delivery, delivery.createdAt)
}

/** Makes `delivery` one that is still to be sent from `at` on, and at once, whatever became of it before. */
export async function repeatDelivery(store: Store, delivery: WebhookDelivery, at: string): Promise<void> {
  const key = { parent: delivery.webhookId, id: delivery.deliveryId }
  try {
    await store.create('webhookDelivery', key, delivery)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
    await mutate(store, 'webhookDelivery', key, ({ settledAt: _past, ...known }) => ({
      ...known,
      state: 'PENDING',
      attempts: 0,
    }))
  }
  await tellLane(store, delivery, at, true)
}

/** Removes what there is of an endpoint that is gone. */
export async function forgetDeliveries(store: Store, webhookId: WebhookId): Promise<void> {
  for (const { laneId } of await listAll(store, 'webhookLane', webhookId))
    await store.remove('webhookLane', { parent: webhookId, id: laneId })
  for (const { deliveryId } of await listAll(store, 'webhookDelivery', webhookId))
    await store.remove('webhookDelivery', { parent: webhookId, id: deliveryId })
  for (const attempt of await listAll(store, 'webhookAttempt', webhookId))
    await store.remove('webhookAttempt', { parent: webhookId, id: attemptItemId(attempt) })
}

/** The id of a try: ids sort by time. */
export function attemptItemId({ at, deliveryId, attempt }: WebhookAttempt): string {
  return `${at}.${deliveryId}.${attempt}`
}

/** Tells the lane of `delivery` that it is to be sent: the lane begins before it, if it was further already. */
async function tellLane(
  store: Store,
  { webhookId, laneId, deliveryId }: WebhookDelivery,
  waitingSince: string,
  isAtOnce = false,
): Promise<void> {
  const key = { parent: webhookId, id: laneId }
  const before = deliveryId.slice(0, deliveryId.lastIndexOf('.'))
  for (;;) {
    try {
      const known = await store.get('webhookLane', key)
      if (known === undefined)
        await store.create('webhookLane', key, {
          webhookId,
          laneId,
          after: before,
          additions: 1,
          waitingSince,
        })
      else {
        const { after: from, additions, nextAttemptAt, ...lane } = known.value
        await store.replace('webhookLane', key, known.revision, {
          ...lane,
          ...(isAtOnce || nextAttemptAt === undefined ? {} : { nextAttemptAt }),
          after: before < from ? before : from,
          additions: additions + 1,
        })
      }
      return
    } catch (error) {
      // Somebody was faster, or the lane has just gone.
      if (!(error instanceof RevisionConflictError)) throw error
    }
  }
}
