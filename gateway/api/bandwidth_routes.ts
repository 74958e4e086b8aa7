/**
 * `/api/v1/bandwidth`: the calendar of servers without their own, and the sites.
 * @module
 */
import type { Services } from '../services.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import {
  bandwidthSettingsSchema,
  readBandwidthSettings,
  saveBandwidthSettings,
} from '../bandwidth_settings.ts'
import { readJson } from '../request.ts'
import { requireApiRole } from './bearer.ts'

/** The routes. */
export function bandwidthRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/', async (c) => c.json(await readBandwidthSettings(services.store)))

  app.put('/', async (c) => {
    requireApiRole(c, 'operator')
    const settings = await readJson(c, bandwidthSettingsSchema)
    await saveBandwidthSettings(services.store, settings)
    return c.json(settings)
  })
  return app
}
