/**
 * `/api/v1/bandwidth`: the calendar of servers without their own, and the sites.
 * @module
 */
import type { Services } from '../services.ts'
import type { ApiEnv } from './bearer.ts'
import { Hono } from 'hono'
import {
  bandwidthSettingsSchema,
  readVersionedBandwidth,
  saveBandwidthSettings,
} from '../bandwidth_settings.ts'
import { readJson } from '../request.ts'
import { revisionVersion } from '../versions.ts'
import { requireApiRole } from './bearer.ts'
import { ifMatch, sendTagged } from './entity_tag.ts'

/** The routes. */
export function bandwidthRoutes(services: Services): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>()

  app.get('/', async (c) => {
    const { value, revision } = await readVersionedBandwidth(services.store)
    return sendTagged(c, revisionVersion(revision), value)
  })

  app.put('/', async (c) => {
    requireApiRole(c, 'operator')
    const settings = await readJson(c, bandwidthSettingsSchema)
    const revision = await saveBandwidthSettings(services.store, settings, ifMatch(c))
    return sendTagged(c, revisionVersion(revision), settings)
  })
  return app
}
