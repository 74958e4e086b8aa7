/**
 * The relay: moves events from servers' outboxes to where they are listed and to the lanes of webhooks, in order, none lost and none twice.
 * @module
 */
import type { SourceServerId, WebhookId } from '../domain/ids.ts'
import type { ServerEvent, SourceServer } from '../domain/source_server.ts'
import type { WebhookEndpoint } from '../domain/webhook.ts'
import type { Bench } from './bench.ts'
import { envelopesOf } from '../domain/event_envelope.ts'
import { matchesPattern } from '../domain/event_pattern.ts'
import { errorMessage, NotFoundError } from '../domain/errors.ts'
import { ensureDelivery, newDelivery } from '../store/deliveries.ts'
import { eventItemId, placeInFeed } from '../store/event_feed.ts'
import { listAll } from '../store/listing.ts'
import { RevisionConflictError } from '../store/store.ts'
import { changeServer, now } from './bench.ts'

/** What relaying needs. */
export type RelayBench = Pick<Bench, 'store' | 'changes' | 'clock' | 'origin' | 'webhookWakeUps' | 'log'>

/**
 * Relays what waits in one server's outbox. First the events are written where they are listed and where they are to be sent (again, if a relay died
 * in between: their ids come from their sequence), then they leave the outbox.
 */
export async function relayServer(bench: RelayBench, server: SourceServer): Promise<void> {
  const { sourceServerId, outbox } = server
  const last = outbox.at(-1)
  if (last === undefined) return
  const endpoints = (await listAll(bench.store, 'webhook')).filter(({ isEnabled }) => isEnabled)
  const woken = new Set<WebhookId>()
  for (const event of outbox) {
    await list(bench, sourceServerId, event)
    for (const webhookId of await address(bench, sourceServerId, event, endpoints)) woken.add(webhookId)
  }
  await changeServer(bench, sourceServerId, (current) => {
    const waiting = current.outbox.filter(({ sequence }) => sequence > last.sequence)
    return waiting.length === current.outbox.length ? undefined : { ...current, outbox: waiting }
  })
  for (const webhookId of woken) await wakeSender(bench, webhookId)
}

/** Writes the event where it is listed, and gives it its place among the events of all servers. */
async function list(
  { store }: RelayBench,
  sourceServerId: SourceServerId,
  event: ServerEvent,
): Promise<void> {
  try {
    await store.create('serverEvent', { parent: sourceServerId, id: eventItemId(event.sequence) }, event)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
  await placeInFeed(store, sourceServerId, event.sequence)
}

/** Writes the deliveries of the event. Answers which endpoints get any. */
async function address(
  bench: RelayBench,
  sourceServerId: SourceServerId,
  event: ServerEvent,
  endpoints: readonly WebhookEndpoint[],
): Promise<WebhookId[]> {
  if (endpoints.length === 0) return []
  const found: WebhookId[] = []
  for (const envelope of envelopesOf(bench.origin, sourceServerId, event)) {
    for (const { webhookId, pattern } of endpoints) {
      if (!matchesPattern(pattern, { ...envelope })) continue
      const delivery = newDelivery(webhookId, sourceServerId, event.sequence, envelope, now(bench))
      await ensureDelivery(bench.store, delivery)
      found.push(webhookId)
    }
  }
  return found
}

/** Wakes a sender. The reconciler does it too, so trouble with Redis costs time only. */
async function wakeSender({ webhookWakeUps, log }: RelayBench, webhookId: WebhookId): Promise<void> {
  try {
    await webhookWakeUps.add(webhookId)
  } catch (error) {
    log.warn({ webhookId }, `Cannot wake a sender now: ${errorMessage(error)}`)
  }
}

/** Relays one server by id; a server that has been deleted has nothing to relay. */
export async function relayById(bench: RelayBench, id: SourceServerId): Promise<void> {
  const found = await bench.store.get('server', { id })
  if (found === undefined) return
  try {
    await relayServer(bench, found.value)
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
  }
}
