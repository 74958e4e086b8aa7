/**
 * The settings page and its forms.
 * @module
 */
import type { SettingsModel } from '../../views/settings/settings_page.ts'
import type { Viewer } from '../../views/layout.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import type { z } from 'zod'
import { Hono } from 'hono'
import { accessKeyLimits } from '../../domain/access_key.ts'
import { ConflictError, InvalidInputError } from '../../domain/errors.ts'
import { mayOperate } from '../../views/layout.ts'
import { settingsPage } from '../../views/settings/settings_page.ts'
import { readBandwidthSettings } from '../bandwidth_settings.ts'
import { findHostnames } from '../job_reports.ts'
import { deleteAccessKey, setAccessKeyStatus } from '../people/access_keys.ts'
import { accessKeySchema, createAccessKey } from '../people/new_access_key.ts'
import { apiTokenSchema, createApiToken } from '../people/api_tokens.ts'
import { revokeInstallationToken } from '../people/installation_tokens.ts'
import { findAccessKeys, findApiTokens, findInstallationTokens } from '../queries.ts'
import { deleteParameter, findParameters, openPart, putParameter } from '../parameters.ts'
import { findWebhooks } from '../webhooks.ts'
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
    await revokeInstallationToken(services.store, c.req.param('id'))
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
    const { secret } = await createApiToken(services.store, wanted.data, services)
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

  app.post('/settings/access-keys', async (c) => {
    requireRole(c, 'admin')
    const wanted = accessKeySchema.safeParse(accessKeyOf(await readForm(c)))
    const viewer = viewerOf(c)
    const refused = async (problem: string) => {
      const model = { ...(await settingsModel(context, viewer)), accessKeyProblem: problem }
      return sendPage(c, settingsPage(frameFor(context, viewer), model), 422)
    }
    if (!wanted.success) return refused(accessKeyProblem(wanted.error))
    try {
      const { record, secretAccessKey } = await createAccessKey(services, wanted.data, viewer.userName)
      const { name, accessKeyId } = record
      const newAccessKey = { name, accessKeyId, secretAccessKey }
      const model = { ...(await settingsModel(context, viewer)), newAccessKey }
      return sendPage(c, settingsPage(frameFor(context, viewer), model))
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error
      return refused(error.message)
    }
  })

  const statuses = { disable: 'INACTIVE', enable: 'ACTIVE' } as const
  for (const change of ['disable', 'enable'] as const) {
    app.post(`/settings/access-keys/:id/${change}`, async (c) => {
      requireRole(c, 'admin')
      await setAccessKeyStatus(services.store, c.req.param('id'), statuses[change])
      return c.redirect(`/settings?done=access-key-${change}d`, 303)
    })
  }

  app.post('/settings/access-keys/:id/delete', async (c) => {
    requireRole(c, 'admin')
    await deleteAccessKey(services.store, c.req.param('id'))
    return c.redirect('/settings?done=access-key-deleted', 303)
  })

  app.post('/settings/parameters', async (c) => {
    requireRole(c, 'operator')
    const { name = '', value = '' } = await readForm(c)
    try {
      await putParameter(
        services,
        name.trim(),
        { value: value.replaceAll('\r\n', '\n') },
        { actor: viewerOf(c).userName },
      )
    } catch (error) {
      const isWrong = error instanceof InvalidInputError || error instanceof ConflictError
      if (!isWrong) throw error
      const model = { ...(await settingsModel(context, viewerOf(c))), parameterProblem: error.message }
      return sendPage(c, settingsPage(frameFor(context, viewerOf(c)), model), 422)
    }
    return c.redirect('/settings?done=parameter-kept', 303)
  })

  app.post('/settings/parameters/:name/delete', async (c) => {
    requireRole(c, 'operator')
    const name = c.req.param('name')
    const { force } = await readForm(c)
    try {
      await deleteParameter(services, name, { isForced: force === 'true' })
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error
      const model = {
        ...(await settingsModel(context, viewerOf(c))),
        parameterProblem: error.message,
        takenParameter: name,
      }
      return sendPage(c, settingsPage(frameFor(context, viewerOf(c)), model), 409)
    }
    return c.redirect('/settings?done=parameter-deleted', 303)
  })
  return app
}

/** The fields of the form as the schema takes them. */
function accessKeyOf({ name, role, scopes = '', lifetimeDays = '' }: Record<string, string>): unknown {
  const operations = scopes.split(/[\s,]+/).filter((scope) => scope !== '')
  const days = lifetimeDays.trim()
  return {
    name,
    role,
    scopes: operations,
    ...(days === '' ? {} : { lifetimeDays: Number(days) }),
  }
}

/** What is wrong with the form, and what to write instead. */
function accessKeyProblem({ issues }: z.ZodError): string {
  const fields = new Set(issues.map(({ path }) => path[0]))
  if (fields.has('scopes'))
    return 'Name operations such as mgn:StartTest, several as mgn:Describe*, or all as *'
  if (fields.has('lifetimeDays'))
    return `Give the key days to live, up to ${accessKeyLimits.maxLifetimeDays}, or leave that empty`
  return 'Give the key a name of 1 to 64 characters, and a role'
}

async function settingsModel({ services }: PageContext, viewer: Viewer): Promise<SettingsModel> {
  const { version, agentUrl, pin, agentPort, replicationPort } = services.installation
  return {
    viewer,
    installationTokens: (await findInstallationTokens(services.store)).slice(0, maxTokens),
    hostnames: await findHostnames(services),
    accessKeys: viewer.role === 'admin' ? await findAccessKeys(services.store) : [],
    apiTokens: viewer.role === 'admin' ? await findApiTokens(services.store) : [],
    parameters: mayOperate(viewer) ? (await findParameters(services)).map(openPart) : [],
    webhooks: viewer.role === 'admin' ? await findWebhooks(services) : [],
    bandwidth: await readBandwidthSettings(services.store),
    about: { version, agentUrl, pin, agentPort, replicationPort },
    now: services.clock(),
  }
}
