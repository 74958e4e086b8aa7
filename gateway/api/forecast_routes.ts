/**
 * `/api/v1/forecasts`: how past forecasts held. The forecast of a server is below the server.
 * @module
 */
import type { Services } from '../services.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'

/** The routes. */
export function forecastRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()
  app.get('/accuracy', async (c) => c.json(await services.forecasts.accuracy()))
  return app
}
