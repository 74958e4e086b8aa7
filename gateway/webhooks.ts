/**
 * Webhook endpoints: made, changed and removed. Sending is the workers' own.
 * @module
 */
import type { z } from 'zod'
import type { WebhookId } from '../domain/ids.ts'
import type { WebhookEndpoint } from '../domain/webhook.ts'
import type { WebhookView } from './api/answers/webhook_answers.ts'
import type { Services } from './services.ts'
import type { newWebhookSchema, rotationSchema, webhookChangeSchema } from './webhook_schemas.ts'
import { ConflictError, errorMessage, NotFoundError } from '../domain/errors.ts'
import { isId, newId } from '../domain/ids.ts'
import { withRotatedSecret } from '../domain/webhook.ts'
import { forgetDeliveries } from '../store/deliveries.ts'
import { listAll } from '../store/listing.ts'
import { mutate } from '../store/mutate.ts'
import { withDeadline } from './deadline.ts'
import type { Versioned } from '../store/store.ts'
import type { VersionCheck } from './versions.ts'
import { anyVersion, removeChecked, revisionVersion } from './versions.ts'

/** What working with endpoints needs. */
export type WebhookServices = Pick<
  Services,
  'store' | 'changes' | 'secretBox' | 'origin' | 'clock' | 'random' | 'log'
>

/** Each event is held against each of them. */
const maxEndpoints = 50

/** `endpoint` as it may be shown. */
export function viewOfWebhook({ secrets, ...endpoint }: WebhookEndpoint): WebhookView {
  return { ...endpoint, secrets: secrets.map(({ sealed: _sealed, ...shown }) => shown) }
}

/** Endpoints, oldest first. */
export async function findWebhooks(services: Pick<Services, 'store'>): Promise<WebhookEndpoint[]> {
  const found = await listAll(services.store, 'webhook')
  return found.sort((one, other) => (one.createdAt < other.createdAt ? -1 : 1))
}

/** The endpoint with its revision. @throws NotFoundError, also for what is no id. */
export async function findVersionedWebhook(
  { store }: Pick<Services, 'store'>,
  id: string,
): Promise<Versioned<WebhookEndpoint>> {
  const found = isId('webhook', id) ? await store.get('webhook', { id }) : undefined
  if (found === undefined) throw new NotFoundError('webhook', id)
  return found
}

/** The endpoint. @throws NotFoundError, also for what is no id. */
export async function findWebhook(services: Pick<Services, 'store'>, id: string): Promise<WebhookEndpoint> {
  return (await findVersionedWebhook(services, id)).value
}

function newSigningSecret({ random }: Pick<Services, 'random'>): string {
  return `whsec_${Buffer.from(random(32)).toString('base64')}`
}

/** Makes an endpoint. Its secret is in the answer and never shown again. @throws ConflictError when there are too many. */
export async function createWebhook(
  services: WebhookServices,
  wanted: z.infer<typeof newWebhookSchema>,
  actor: string,
): Promise<{ endpoint: WebhookEndpoint; secret: string }> {
  const { store, secretBox } = services
  if ((await listAll(store, 'webhook')).length >= maxEndpoints)
    throw new ConflictError(`Cannot make another webhook: there are ${maxEndpoints} already; delete one`)
  const secret = wanted.secret ?? newSigningSecret(services)
  const at = services.clock().toISOString()
  const webhookId = newId('webhook', services.random)
  const endpoint: WebhookEndpoint = {
    webhookId,
    url: wanted.url,
    description: wanted.description,
    pattern: wanted.pattern,
    secrets: [{ sealed: secretBox.seal(secret, webhookId), createdAt: at }],
    isEnabled: true,
    createdAt: at,
    createdBy: actor,
  }
  await store.create('webhook', { id: endpoint.webhookId }, endpoint)
  return { endpoint, secret }
}

/** Changes an endpoint. One that is enabled again goes on at once with what waits. @throws NotFoundError; whatever `check` throws. */
export async function changeWebhook(
  services: WebhookServices,
  webhookId: WebhookId,
  change: z.infer<typeof webhookChangeSchema>,
  check: VersionCheck = anyVersion,
): Promise<Versioned<WebhookEndpoint>> {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
  const changed = await mutate(services.store, 'webhook', { id: webhookId }, (endpoint, revision) => {
    check(revisionVersion(revision))
    const { disabledBecause, ...known } = endpoint
    return {
      ...known,
      ...given,
      ...(disabledBecause === undefined || change.isEnabled === true ? {} : { disabledBecause }),
    }
  })
  if (change.isEnabled === true || change.url !== undefined) await hurry(services, webhookId)
  return changed
}

/** What waits for its next try is tried at once. */
async function hurry(services: WebhookServices, webhookId: WebhookId): Promise<void> {
  for (const { laneId, nextAttemptAt } of await listAll(services.store, 'webhookLane', webhookId)) {
    if (nextAttemptAt === undefined) continue
    try {
      await mutate(
        services.store,
        'webhookLane',
        { parent: webhookId, id: laneId },
        ({ nextAttemptAt: _when, ...lane }) => lane,
      )
    } catch (error) {
      // All of it has been sent meanwhile.
      if (!(error instanceof NotFoundError)) throw error
    }
  }
  await tellSenders(services, webhookId)
}

/** Removes an endpoint and all that is known of what it got. @throws NotFoundError; whatever `check` throws. */
export async function deleteWebhook(
  services: WebhookServices,
  webhookId: WebhookId,
  check: VersionCheck = anyVersion,
): Promise<void> {
  const { store } = services
  // The endpoint first: without it nothing is sent, and nothing is written for it any more.
  await removeChecked(store, 'webhook', { id: webhookId }, check)
  await forgetDeliveries(store, webhookId)
}

/** Replaces the secret. The one before signs beside it for a while. The new one is in the answer and never shown again. */
export async function rotateSecret(
  services: WebhookServices,
  webhookId: WebhookId,
  { overlapSeconds, secret: given }: z.infer<typeof rotationSchema>,
): Promise<{ endpoint: WebhookEndpoint; secret: string }> {
  const secret = given ?? newSigningSecret(services)
  const now = services.clock()
  const next = { sealed: services.secretBox.seal(secret, webhookId), createdAt: now.toISOString() }
  const until = new Date(now.getTime() + overlapSeconds * 1000).toISOString()
  const { value } = await mutate(services.store, 'webhook', { id: webhookId }, (endpoint) =>
    withRotatedSecret(endpoint, next, until),
  )
  return { endpoint: value, secret }
}

/** Tells the workers that something is to be sent. They look by themselves too, so trouble costs seconds. */
export async function tellSenders({ changes, log }: WebhookServices, webhookId: WebhookId): Promise<void> {
  try {
    await withDeadline(changes.publish({ kind: 'webhook', id: webhookId }), 1000, 'Redis')
  } catch (error) {
    log.warn({ webhookId, error: errorMessage(error) }, 'Cannot publish a change notice')
  }
}
