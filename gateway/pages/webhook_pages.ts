/**
 * The pages of webhooks, for administrators: the URL of an endpoint may be a secret by itself.
 * @module
 */
import type { Context } from 'hono'
import type { WebhookEndpoint } from '../../domain/webhook.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import type { z } from 'zod'
import { InvalidInputError } from '../../domain/errors.ts'
import { listAll } from '../../store/listing.ts'
import {
  newWebhookForm,
  webhookFormOf,
  webhookPage,
  webhooksPage,
} from '../../views/settings/webhooks_page.ts'
import { asRefusal } from '../problem.ts'
import { parseJson } from '../request.ts'
import { requireRole } from '../session_guard.ts'
import { redeliver, sendTest } from '../webhook_repeats.ts'
import { newWebhookSchema, rotationSchema, webhookChangeSchema } from '../webhook_schemas.ts'
import {
  changeWebhook,
  createWebhook,
  deleteWebhook,
  findVersionedWebhook,
  findWebhook,
  findWebhooks,
  rotateSecret,
} from '../webhooks.ts'
import type { Versioned } from '../../store/store.ts'
import { revisionVersion, shownVersion } from '../versions.ts'
import { doneMessage } from './messages.ts'
import { frameFor, readForm, sendPage, statusOfRefusedForm, viewerOf } from './page_context.ts'

/** Tries on the page. */
const shownAttempts = 50

/** The fields of a form as `schema` takes them. @throws InvalidInputError in the words of the API. */
function readFields<T>(schema: z.ZodType<T>, { url, description, pattern = '' }: Record<string, string>): T {
  const json = pattern.trim() === '' ? {} : parseJson(pattern)
  if (json === undefined)
    throw new InvalidInputError('pattern', 'Cannot read the events: the pattern is not JSON')
  const read = schema.safeParse({ url: url?.trim(), description, pattern: json })
  if (read.success) return read.data
  throw new InvalidInputError('url', asRefusal(read.error).message, { cause: read.error })
}

/** The routes. */
export function webhookPages(context: PageContext): Hono<PageEnv> {
  const { services } = context
  const app = new Hono<PageEnv>()

  const list = async (
    c: Context<PageEnv>,
    form = newWebhookForm,
    problem?: string,
    status: 200 | 409 | 422 = 200,
  ) => {
    const endpoints = await findWebhooks(services)
    const model = {
      endpoints,
      form,
      now: services.clock(),
      problem,
      message: doneMessage(c.req.query('done')),
    }
    return sendPage(c, webhooksPage(frameFor(context, viewerOf(c)), model), status)
  }

  const one = async (
    c: Context<PageEnv>,
    { value: endpoint, revision }: Versioned<WebhookEndpoint>,
    more: { form?: ReturnType<typeof webhookFormOf>; problem?: string; secret?: string } = {},
    status: 200 | 409 | 422 = 200,
  ) => {
    const { webhookId: parent } = endpoint
    const found = await services.store.list('webhookAttempt', {
      parent,
      descending: true,
      limit: shownAttempts,
    })
    const model = {
      endpoint,
      form: webhookFormOf(endpoint),
      version: revisionVersion(revision),
      attempts: found.items.map(({ value }) => value),
      waitingLanes: (await listAll(services.store, 'webhookLane', parent)).length,
      now: services.clock(),
      message: doneMessage(c.req.query('done')),
      ...more,
    }
    return sendPage(c, webhookPage(frameFor(context, viewerOf(c)), model), status)
  }

  app.use('/settings/webhooks/*', async (c, next) => {
    requireRole(c, 'admin')
    return next()
  })

  app.get('/settings/webhooks', (c) => list(c))

  app.post('/settings/webhooks', async (c) => {
    const form = await readForm(c)
    try {
      const wanted = readFields(newWebhookSchema, form)
      const { endpoint, secret } = await createWebhook(services, wanted, viewerOf(c).userName)
      return await one(c, await findVersionedWebhook(services, endpoint.webhookId), { secret })
    } catch (error) {
      const status = statusOfRefusedForm(error)
      if (status === undefined) throw error
      return list(c, { ...newWebhookForm, ...form }, asRefusal(error).message, status)
    }
  })

  app.get('/settings/webhooks/:id', async (c) =>
    one(c, await findVersionedWebhook(services, c.req.param('id'))),
  )

  app.post('/settings/webhooks/:id', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    const form = await readForm(c)
    try {
      const check = shownVersion(form['version'])
      await changeWebhook(services, webhookId, readFields(webhookChangeSchema, form), check)
    } catch (error) {
      const status = statusOfRefusedForm(error)
      if (status === undefined) throw error
      const found = await findVersionedWebhook(services, webhookId)
      const shown = { form: { ...webhookFormOf(found.value), ...form }, problem: asRefusal(error).message }
      return one(c, found, shown, status)
    }
    return c.redirect(`/settings/webhooks/${webhookId}?done=webhook-saved`, 303)
  })

  app.post('/settings/webhooks/:id/test', async (c) => {
    const endpoint = await findWebhook(services, c.req.param('id'))
    await sendTest(services, endpoint, viewerOf(c).userName)
    return c.redirect(`/settings/webhooks/${endpoint.webhookId}?done=webhook-test`, 303)
  })

  for (const [action, isEnabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    app.post(`/settings/webhooks/:id/${action}`, async (c) => {
      const { webhookId } = await findWebhook(services, c.req.param('id'))
      await changeWebhook(services, webhookId, { isEnabled })
      return c.redirect(`/settings/webhooks/${webhookId}?done=webhook-saved`, 303)
    })
  }

  app.post('/settings/webhooks/:id/rotate-secret', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    const { secret } = await rotateSecret(services, webhookId, rotationSchema.parse({}))
    return one(c, await findVersionedWebhook(services, webhookId), { secret })
  })

  app.post('/settings/webhooks/:id/delete', async (c) => {
    const { webhookId } = await findWebhook(services, c.req.param('id'))
    await deleteWebhook(services, webhookId)
    return c.redirect('/settings/webhooks?done=webhook-deleted', 303)
  })

  app.post('/settings/webhooks/:id/deliveries/:delivery/redeliver', async (c) => {
    const endpoint = await findWebhook(services, c.req.param('id'))
    await redeliver(services, endpoint, c.req.param('delivery'))
    return c.redirect(`/settings/webhooks/${endpoint.webhookId}?done=webhook-again`, 303)
  })
  return app
}
