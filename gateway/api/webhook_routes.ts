/**
 * `/api/v1/webhooks`.
 * @module
 */
import type { Services } from '../services.ts'
import type {
  AttemptPage,
  DeliveryPage,
  Replayed,
  Webhooks,
  WebhookWithSecret,
} from './answers/webhook_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import type { WebhookDelivery } from '../../domain/webhook.ts'
import { lanePrefix } from '../../store/deliveries.ts'
import { encodeCursor } from '../../store/paging.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { readJson, readQuery } from '../request.ts'
import { redeliver, replay, sendTest } from '../webhook_repeats.ts'
import { newWebhookSchema, replaySchema, rotationSchema, webhookChangeSchema } from '../webhook_schemas.ts'
import {
  changeWebhook,
  createWebhook,
  deleteWebhook,
  findVersionedWebhook,
  findWebhook,
  findWebhooks,
  rotateSecret,
  viewOfWebhook,
} from '../webhooks.ts'
import { revisionVersion } from '../versions.ts'
import { actorOf, requireApiRole } from './bearer.ts'
import { ifMatch, sendTagged } from './entity_tag.ts'
import { pageWords } from './list_paging.ts'

const page = {
  limit: z.coerce.number().int().min(1).max(1000).default(100).meta({ description: pageWords.limit }),
  nextToken: z.string().max(400).optional().meta({ description: pageWords.nextToken }),
}
/** Which tries are asked for. */
export const attemptsQuery = z.object(page)
/** Which deliveries are asked for. */
export const deliveriesQuery = z.object({
  ...page,
  sourceServerId: z.string().max(64).optional().meta({ description: 'Only those of events of this server' }),
  state: z
    .enum(['PENDING', 'DELIVERED', 'DEAD'])
    .optional()
    .meta({ description: 'Only those in this state; pages may be short then, or empty, before the end' }),
})

/** Items that one call looks through for those of a state. */
const maxLookedThrough = 5000

/** The routes. */
export function webhookRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  const { store } = services

  app.use(async (c, next) => {
    // The URL of an endpoint may be a secret by itself.
    requireApiRole(c, c.req.method === 'GET' ? 'operator' : 'admin')
    return next()
  })

  app.get('/', async (c) =>
    c.json({ items: (await findWebhooks(services)).map(viewOfWebhook) } satisfies Webhooks),
  )

  app.post('/', async (c) => {
    const wanted = await readJson(c, newWebhookSchema)
    const { endpoint, secret } = await createWebhook(services, wanted, actorOf(c))
    return c.json({ ...viewOfWebhook(endpoint), secret } satisfies WebhookWithSecret, 201)
  })

  app.get('/:id', async (c) => {
    const { value, revision } = await findVersionedWebhook(services, c.req.param('id'))
    return sendTagged(c, revisionVersion(revision), viewOfWebhook(value))
  })

  app.put('/:id', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    const change = await readJson(c, webhookChangeSchema)
    const { value, revision } = await changeWebhook(services, webhookId, change, ifMatch(c))
    return sendTagged(c, revisionVersion(revision), viewOfWebhook(value))
  })

  app.delete('/:id', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    await deleteWebhook(services, webhookId, ifMatch(c))
    return c.body(null, 204)
  })

  app.post('/:id/rotate-secret', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    const { endpoint, secret } = await rotateSecret(services, webhookId, await readJson(c, rotationSchema))
    return c.json({ ...viewOfWebhook(endpoint), secret } satisfies WebhookWithSecret)
  })

  app.post('/:id/test', async (c) => {
    const endpoint = await findWebhook(services, c.req.param('id'))
    return c.json(await sendTest(services, endpoint, actorOf(c)), 202)
  })

  app.post('/:id/replay', async (c) => {
    const endpoint = await findWebhook(services, c.req.param('id'))
    const count = await replay(services, endpoint, await readJson(c, replaySchema))
    return c.json({ deliveries: count } satisfies Replayed, 202)
  })

  app.get('/:id/attempts', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    const { limit, nextToken } = readQuery(c, attemptsQuery)
    const found = await store.list('webhookAttempt', {
      parent: webhookId,
      descending: true,
      limit,
      ...(nextToken === undefined ? {} : { cursor: nextToken }),
    })
    return c.json({
      items: found.items.map(({ value }) => value),
      ...nextOf(found.cursor),
    } satisfies AttemptPage)
  })

  app.get('/:id/deliveries', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    const { limit, nextToken, sourceServerId, state } = readQuery(c, deliveriesQuery)
    const prefix = sourceServerId === undefined ? '' : lanePrefix(sourceServerId as WebhookDelivery['laneId'])
    const items: WebhookDelivery[] = []
    let cursor = nextToken ?? (prefix === '' ? undefined : encodeCursor(prefix))
    for (let looked = 0; looked < maxLookedThrough; looked += limit) {
      const found = await store.list('webhookDelivery', {
        parent: webhookId,
        limit: limit - items.length,
        ...(cursor === undefined ? {} : { cursor }),
      })
      const own = found.items
        .map(({ value }) => value)
        .filter(({ deliveryId }) => deliveryId.startsWith(prefix))
      items.push(...own.filter((delivery) => state === undefined || delivery.state === state))
      cursor = own.length === found.items.length ? found.cursor : undefined
      if (cursor === undefined || items.length >= limit) break
    }
    return c.json({ items, ...nextOf(cursor) } satisfies DeliveryPage)
  })

  app.get('/:id/deliveries/:delivery', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    const id = c.req.param('delivery')
    const found = await store.get('webhookDelivery', { parent: webhookId, id })
    if (found === undefined) throw new NotFoundError('delivery', id)
    return c.json(found.value)
  })

  app.post('/:id/deliveries/:delivery/redeliver', async (c) => {
    const endpoint = await findWebhook(services, c.req.param('id'))
    return c.json(await redeliver(services, endpoint, c.req.param('delivery')), 202)
  })
  return app
}

function nextOf(cursor: string | undefined): { nextToken?: string } {
  return cursor === undefined ? {} : { nextToken: cursor }
}
