/**
 * Forgetting what was delivered long ago. What is not settled stays, whatever its age.
 * @module
 */
import type { WebhookId } from '../../domain/ids.ts'
import type { WebhookDelivery } from '../../domain/webhook.ts'
import type { Store } from '../../store/store.ts'
import type { Bench } from '../bench.ts'
import { attemptItemId } from '../../store/deliveries.ts'
import { listAll } from '../../store/listing.ts'
import { RevisionConflictError } from '../../store/store.ts'

/** For so long what was delivered can be looked up. An event that is relayed again after a crash is known as delivered for as long. */
export const keptMs = 30 * 86_400_000

const itemsPerPage = 500

/** Removes tries and settled deliveries that are older than {@link keptMs}. */
export async function sweepWebhooks(bench: Pick<Bench, 'store' | 'clock'>): Promise<void> {
  const before = new Date(bench.clock().getTime() - keptMs).toISOString()
  for (const { webhookId } of await listAll(bench.store, 'webhook')) {
    await sweepAttempts(bench, webhookId, before)
    await sweepDeliveries(bench, webhookId, before)
  }
}

/** They are listed by time, so that the first one to stay ends it. */
async function sweepAttempts(
  { store }: Pick<Bench, 'store'>,
  webhookId: WebhookId,
  before: string,
): Promise<void> {
  for (;;) {
    const { items } = await store.list('webhookAttempt', { parent: webhookId, limit: itemsPerPage })
    const old = items.filter(({ value }) => value.at < before)
    for (const { value } of old) {
      await store.remove('webhookAttempt', { parent: webhookId, id: attemptItemId(value) })
    }
    if (old.length < itemsPerPage) return
  }
}

async function sweepDeliveries(
  { store }: Pick<Bench, 'store'>,
  webhookId: WebhookId,
  before: string,
): Promise<void> {
  let cursor: string | undefined
  do {
    const page = await store.list('webhookDelivery', {
      parent: webhookId,
      limit: itemsPerPage,
      ...(cursor === undefined ? {} : { cursor }),
    })
    for (const { value, revision } of page.items) {
      if (value.settledAt === undefined || value.settledAt >= before) continue
      await removeUnlessChanged(store, value, revision)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
}

/** One that is replayed at this very moment stays. */
async function removeUnlessChanged(
  store: Store,
  { webhookId, deliveryId }: WebhookDelivery,
  revision: number,
): Promise<void> {
  try {
    await store.remove('webhookDelivery', { parent: webhookId, id: deliveryId }, revision)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
}
