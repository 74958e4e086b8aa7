/**
 * `/api/v1/installation`: what agents are told of this installation, and who was refused on their port.
 * @module
 */
import type { Services } from '../services.ts'
import type { RefusedCalls } from './answers/installation_answers.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import { requireApiRole } from './bearer.ts'

/** The routes. */
export function installationRoutes({ installation, refusals }: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/', (c) => c.json(installation))

  app.get('/refused-calls', (c) => {
    requireApiRole(c, 'operator')
    return c.json({ items: refusals.list() } satisfies RefusedCalls)
  })
  return app
}
