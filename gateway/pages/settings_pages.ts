/**
 * The settings page and its forms.
 * @module
 */
import type { SettingsModel } from '../../views/settings/settings_page.ts'
import type { Viewer } from '../../views/layout.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { NotFoundError } from '../../domain/errors.ts'
import { isId } from '../../domain/ids.ts'
import { settingsPage } from '../../views/settings/settings_page.ts'
import { readBandwidthSettings } from '../bandwidth_settings.ts'
import { findHostnames } from '../job_reports.ts'
import { apiTokenSchema, createApiToken } from '../people/api_tokens.ts'
import { revokeInstallationToken } from '../people/installation_tokens.ts'
import { findApiTokens, findInstallationTokens } from '../queries.ts'
import { requireRole } from '../session_guard.ts'
import { doneMessage } from './messages.ts'
import { frameFor, readForm, sendPage, viewerOf } from './page_context.ts'

/** Tokens on the page. */
const maxTokens = 50

/** The routes. */
export function settingsPages(context: PageContext): Hono<PageEnv> {
  const { services } = context
  const app = new Hono<PageEnv>()

  app.get('/settings', async (c) => {
    const model = {
      ...(await settingsModel(context, viewerOf(c))),
      message: doneMessage(c.req.query('done')),
    }
    return sendPage(c, settingsPage(frameFor(context, viewerOf(c)), model))
  })

  app.post('/settings/installation-tokens/:id/revoke', async (c) => {
    requireRole(c, 'operator')
    const id = c.req.param('id')
    if (!isId('token', id)) throw new NotFoundError('installation token', id)
    await revokeInstallationToken(services.store, id)
    return c.redirect('/settings?done=token-revoked', 303)
  })

  app.post('/settings/api-tokens', async (c) => {
    requireRole(c, 'admin')
    const wanted = apiTokenSchema.safeParse(await readForm(c))
    if (!wanted.success) {
      const problem = 'Give the token a name of 1 to 64 characters, and a role'
      const model = { ...(await settingsModel(context, viewerOf(c))), problem }
      return sendPage(c, settingsPage(frameFor(context, viewerOf(c)), model), 422)
    }
    const { name } = wanted.data
    const secret = await createApiToken(services.store, wanted.data, services)
    const model = {
      ...(await settingsModel(context, viewerOf(c))),
      newApiToken: { name, secret },
    }
    return sendPage(c, settingsPage(frameFor(context, viewerOf(c)), model))
  })

  app.post('/settings/api-tokens/:sha256/revoke', async (c) => {
    requireRole(c, 'admin')
    await services.store.remove('apiToken', { id: c.req.param('sha256') })
    return c.redirect('/settings?done=token-revoked', 303)
  })
  return app
}

async function settingsModel({ services }: PageContext, viewer: Viewer): Promise<SettingsModel> {
  const { version, agentUrl, pin, agentPort, replicationPort } = services.installation
  return {
    viewer,
    installationTokens: (await findInstallationTokens(services.store)).slice(0, maxTokens),
    hostnames: await findHostnames(services),
    apiTokens: viewer.role === 'admin' ? await findApiTokens(services.store) : [],
    bandwidth: await readBandwidthSettings(services.store),
    about: { version, agentUrl, pin, agentPort, replicationPort },
    now: services.clock(),
  }
}
