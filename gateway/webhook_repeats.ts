/**
 * Asking for deliveries: a test, one again, or all of a range.
 * @module
 */
import { randomUUID } from 'node:crypto'
import type { EventEnvelope } from '../domain/event_envelope.ts'
import type { SourceServerId } from '../domain/ids.ts'
import type { ServerEvent } from '../domain/source_server.ts'
import type { WebhookDelivery, WebhookEndpoint } from '../domain/webhook.ts'
import type { ReplayRange } from './webhook_schemas.ts'
import type { WebhookServices } from './webhooks.ts'
import { envelopesOf } from '../domain/event_envelope.ts'
import { matchesPattern } from '../domain/event_pattern.ts'
import { ConflictError, InvalidInputError, NotFoundError } from '../domain/errors.ts'
import { newDelivery, repeatDelivery } from '../store/deliveries.ts'
import { listAll } from '../store/listing.ts'
import { tellSenders } from './webhooks.ts'

/** Events that one replay may send again: a range that is longer is asked for in parts. */
const maxReplayed = 5000

/** Sends an event that is only a test: once, whatever becomes of it. @throws ConflictError when the endpoint is disabled. */
export async function sendTest(
  services: WebhookServices,
  endpoint: WebhookEndpoint,
  actor: string,
): Promise<WebhookDelivery> {
  refuseIfDisabled(endpoint, 'test')
  const now = services.clock()
  const envelope: EventEnvelope = {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Rehost Webhook Test',
    source: 'rehost',
    account: services.origin.accountId,
    time: `${now.toISOString().slice(0, 19)}Z`,
    region: services.origin.region,
    resources: [],
    detail: {
      'webhook-id': endpoint.webhookId,
      actor,
      message: 'A test of this webhook; nothing has happened',
    },
  }
  const delivery = newDelivery(endpoint.webhookId, 'test', now.getTime(), envelope, now.toISOString())
  await repeatDelivery(services.store, delivery, now.toISOString())
  await tellSenders(services, endpoint.webhookId)
  return delivery
}

function refuseIfDisabled({ webhookId, isEnabled }: WebhookEndpoint, what: string): void {
  if (!isEnabled)
    throw new ConflictError(`Cannot ${what} webhook ${webhookId}: it is disabled; enable it first`)
}

/** Sends one delivery again. @throws NotFoundError; ConflictError when the endpoint is disabled. */
export async function redeliver(
  services: WebhookServices,
  endpoint: WebhookEndpoint,
  deliveryId: string,
): Promise<WebhookDelivery> {
  refuseIfDisabled(endpoint, 'send again to')
  const key = { parent: endpoint.webhookId, id: deliveryId }
  const found = await services.store.get('webhookDelivery', key)
  if (found === undefined) throw new NotFoundError('delivery', deliveryId)
  await repeatDelivery(services.store, found.value, services.clock().toISOString())
  await tellSenders(services, endpoint.webhookId)
  const repeated = await services.store.get('webhookDelivery', key)
  return repeated?.value ?? found.value
}

/**
 * Sends what happened in a range again, in order, whether or not the endpoint was there then. Ids are as they were. Answers how many deliveries.
 * @throws InvalidInputError when there are too many; ConflictError when the endpoint is disabled.
 */
export async function replay(
  services: WebhookServices,
  endpoint: WebhookEndpoint,
  range: ReplayRange,
): Promise<number> {
  refuseIfDisabled(endpoint, 'replay to')
  const { store } = services
  const servers =
    range.sourceServerId === undefined
      ? (await listAll(store, 'server')).map(({ sourceServerId }) => sourceServerId)
      : [range.sourceServerId as SourceServerId]
  const at = services.clock().toISOString()
  const found: WebhookDelivery[] = []
  for (const sourceServerId of servers) {
    for (const event of await eventsWithin(services, sourceServerId, range)) {
      for (const envelope of envelopesOf(services.origin, sourceServerId, event)) {
        if (!matchesPattern(endpoint.pattern, { ...envelope })) continue
        found.push(newDelivery(endpoint.webhookId, sourceServerId, event.sequence, envelope, at))
      }
    }
    if (found.length > maxReplayed)
      throw new InvalidInputError(
        'from',
        `Cannot replay more than ${maxReplayed} deliveries at once: ask for a shorter range, or of one server`,
      )
  }
  for (const delivery of found) await repeatDelivery(store, delivery, at)
  await tellSenders(services, endpoint.webhookId)
  return found.length
}

/** Clocks are set back now and then, and an event may tell a time long before that of the one before it. */
const oldestStragglerMs = 86_400_000

/** The events of a server in the range, oldest first. They are read from the newest on, as most ranges are of late. */
async function eventsWithin(
  { store }: WebhookServices,
  sourceServerId: SourceServerId,
  { from = '', to = '9', fromSequence = 1, toSequence = Infinity }: ReplayRange,
): Promise<ServerEvent[]> {
  const found: ServerEvent[] = []
  const last = from === '' ? '' : new Date(Date.parse(from) - oldestStragglerMs).toISOString()
  let cursor: string | undefined
  do {
    const page = await store.list('serverEvent', {
      parent: sourceServerId,
      descending: true,
      limit: 200,
      ...(cursor === undefined ? {} : { cursor }),
    })
    for (const { value: event } of page.items) {
      if (event.at < last || event.sequence < fromSequence) return found.toReversed()
      if (event.at >= from && event.at <= to && event.sequence <= toSequence) found.push(event)
    }
    cursor = page.cursor
  } while (cursor !== undefined && found.length <= maxReplayed)
  return found.toReversed()
}
