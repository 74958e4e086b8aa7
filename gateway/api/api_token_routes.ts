/**
 * `/api/v1/api-tokens`: tokens for programs such as the one that asks. For administrators: who makes a token decides what it may do.
 * @module
 */
import type { Services } from '../services.ts'
import type { ApiTokens, NewApiToken } from './answers/access_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { z } from 'zod'
import { NotFoundError } from '../../domain/errors.ts'
import { apiTokenSchema, createApiToken } from '../people/api_tokens.ts'
import { findApiTokens } from '../queries.ts'
import { readJson } from '../request.ts'
import { requireApiRole } from './bearer.ts'

/** The token that is asked for. */
export const newApiTokenSchema = z.strictObject(apiTokenSchema.shape)

/** The routes. */
export function apiTokenRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  const { store } = services
  app.use(async (c, next) => {
    requireApiRole(c, 'admin')
    return next()
  })

  // A hash of 256 random bits is a name, and no way back to them.
  app.get('/', async (c) => c.json({ items: await findApiTokens(store) } satisfies ApiTokens))

  app.post('/', async (c) => {
    const wanted = await readJson(c, newApiTokenSchema)
    const { secret: token, record } = await createApiToken(store, wanted, services)
    return c.json({ ...record, token } satisfies NewApiToken, 201)
  })

  app.delete('/:id', async (c) => {
    const id = c.req.param('id')
    if ((await store.get('apiToken', { id })) === undefined) throw new NotFoundError('API token', id)
    await store.remove('apiToken', { id })
    return c.body(null, 204)
  })
  return app
}
