/**
 * The forms of replication: a server's replication settings, and the bandwidth settings of all.
 * @module
 */
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { bandwidthFormOf, bandwidthPage } from '../../views/settings/bandwidth_page.ts'
import {
  replicationConfigurationPage,
  replicationFormOf,
} from '../../views/servers/replication_configuration_page.ts'
import {
  bandwidthSettingsOfForm,
  readBandwidthSettings,
  readVersionedBandwidth,
  saveBandwidthSettings,
} from '../bandwidth_settings.ts'
import { asRefusal } from '../problem.ts'
import { findServer } from '../queries.ts'
import { changeReplicationConfiguration, replicationConfigurationOfForm } from '../replication_settings.ts'
import { requireRole } from '../session_guard.ts'
import { contentVersion, revisionVersion, shownVersion } from '../versions.ts'
import { frameFor, readForm, sendPage, statusOfRefusedForm, viewerOf } from './page_context.ts'

/** The routes. */
export function replicationPages(context: PageContext): Hono<PageEnv> {
  const { services } = context
  const app = new Hono<PageEnv>()

  const model = async (id: string) => {
    const server = await findServer(services.store, id)
    const { replicationConfiguration: stored } = server
    const sites = (await readBandwidthSettings(services.store)).sites.map(({ name }) => name)
    return { server, form: replicationFormOf(stored), version: contentVersion(stored), sites }
  }

  app.get('/servers/:id/replication-configuration', async (c) => {
    requireRole(c, 'operator')
    const frame = frameFor(context, viewerOf(c))
    return sendPage(c, replicationConfigurationPage(frame, await model(c.req.param('id'))))
  })

  app.post('/servers/:id/replication-configuration', async (c) => {
    requireRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const fields = await readForm(c)
    try {
      const change = replicationConfigurationOfForm(fields)
      const { userName } = viewerOf(c)
      const check = shownVersion(fields['version'])
      await changeReplicationConfiguration(services, sourceServerId, change, userName, check)
    } catch (error) {
      const status = statusOfRefusedForm(error)
      if (status === undefined) throw error
      const shown = await model(sourceServerId)
      const refused = { ...shown, form: { ...shown.form, ...fields }, problem: asRefusal(error).message }
      return sendPage(c, replicationConfigurationPage(frameFor(context, viewerOf(c)), refused), status)
    }
    return c.redirect(`/servers/${sourceServerId}?done=replication-configuration`, 303)
  })

  app.get('/settings/bandwidth', async (c) => {
    requireRole(c, 'operator')
    const { value, revision } = await readVersionedBandwidth(services.store)
    const model = { form: bandwidthFormOf(value), version: revisionVersion(revision) }
    return sendPage(c, bandwidthPage(frameFor(context, viewerOf(c)), model))
  })

  app.post('/settings/bandwidth', async (c) => {
    requireRole(c, 'operator')
    const fields = await readForm(c)
    try {
      const check = shownVersion(fields['version'])
      await saveBandwidthSettings(services.store, bandwidthSettingsOfForm(fields), check)
    } catch (error) {
      const status = statusOfRefusedForm(error)
      if (status === undefined) throw error
      const { revision } = await readVersionedBandwidth(services.store)
      const model = {
        form: { timeZone: '', calendar: '', sites: '', ...fields },
        version: revisionVersion(revision),
        problem: asRefusal(error).message,
      }
      return sendPage(c, bandwidthPage(frameFor(context, viewerOf(c)), model), status)
    }
    return c.redirect('/settings?done=bandwidth', 303)
  })
  return app
}
