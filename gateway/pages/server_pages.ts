/**
 * One server: its page, its live parts, its actions and its launch settings.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Viewer } from '../../views/layout.ts'
import type { ServerModel } from '../../views/servers/server_page.ts'
import type { RefusedCall } from '../refusals.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { decideAction } from '../../domain/actions.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { isSilent } from '../../views/figures.ts'
import { confirmForm, confirmPage } from '../../views/servers/confirm_page.ts'
import { formOf, launchConfigurationPage } from '../../views/servers/launch_configuration_page.ts'
import { protectionForm, protectionPage } from '../../views/servers/protection_page.ts'
import { serverPage, serverParts } from '../../views/servers/server_page.ts'
import { actionOfSlug, actionSlugs, performAction } from '../actions.ts'
import { changeLaunchConfiguration, launchConfigurationOfForm } from '../launch_settings.ts'
import { chooseDisk, diskChoiceSchema } from '../disk_choices.ts'
import { LateError, withDeadline } from '../deadline.ts'
import { asRefusal } from '../problem.ts'
import { changeProtection, protectionOf, protectionOfForm } from '../protection_settings.ts'
import { findEvents, findFigures, findServer } from '../queries.ts'
import { requireRole } from '../session_guard.ts'
import { contentVersion, shownVersion } from '../versions.ts'
import { doneMessage } from './messages.ts'
import { frameFor, readForm, sendPage, statusOfRefusedForm, viewerOf } from './page_context.ts'

/** Records are in a table of their own, which may hang. */
const forecastDeadlineMs = 1500

/** Events on the page; the API has them all. */
const maxEvents = 60

/** The routes. */
export function serverPages(context: PageContext): Hono<PageEnv> {
  const { services, streams } = context
  const app = new Hono<PageEnv>()

  app.get('/servers/:id', async (c) => {
    const viewer = viewerOf(c)
    const server = await findServer(services.store, c.req.param('id'))
    const model = {
      ...(await serverModel(context, server, viewer)),
      message: doneMessage(c.req.query('done')),
    }
    return sendPage(c, serverPage(frameFor(context, viewer), model, `/servers/${server.sourceServerId}/live`))
  })

  app.get('/servers/:id/live', async (c) => {
    const viewer = viewerOf(c)
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    return streams.open(
      c,
      c.get('signedIn'),
      JSON.stringify(['server', sourceServerId, viewer.role]),
      async () => {
        const server = await findServer(services.store, sourceServerId)
        const parts = serverParts(await serverModel(context, server, viewer))
        return { frame: '', parts, whole: parts }
      },
    )
  })

  app.get('/servers/:id/actions/:action', async (c) => {
    requireRole(c, 'operator')
    const { server, action, slug } = await actionOf(context, c.req.param('id'), c.req.param('action'))
    const model = { server, action, slug, decision: decideAction(server, action) }
    return c.req.header('X-Fragment') === 'dialog'
      ? sendPage(c, confirmForm(model))
      : sendPage(c, confirmPage(frameFor(context, viewerOf(c)), model))
  })

  app.post('/servers/:id/actions/:action', async (c) => {
    requireRole(c, 'operator')
    const { server, action, slug } = await actionOf(context, c.req.param('id'), c.req.param('action'))
    try {
      await performAction(services, server.sourceServerId, action, viewerOf(c).userName)
    } catch (error) {
      if (statusOfRefusedForm(error) !== 409) throw error
      const current = await findServer(services.store, server.sourceServerId)
      const decision = decideAction(current, action)
      // Possible by now: whatever stood in the way is gone, and asking again will do.
      const refused = decision.possible
        ? { possible: false as const, because: asRefusal(error).message }
        : decision
      const page = confirmPage(frameFor(context, viewerOf(c)), {
        server: current,
        action,
        slug,
        decision: refused,
      })
      return sendPage(c, page, 409)
    }
    return c.redirect(
      action === 'DELETE' ? `/servers?done=${slug}` : `/servers/${server.sourceServerId}?done=${slug}`,
      303,
    )
  })

  app.post('/servers/:id/disks', async (c) => {
    requireRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const choice = diskChoiceSchema.parse(await readForm(c))
    await chooseDisk(services, sourceServerId, choice, viewerOf(c).userName)
    const done = choice.choice === 'TAKE' ? 'disk-taken' : 'disk-refused'
    return c.redirect(`/servers/${sourceServerId}?done=${done}`, 303)
  })

  app.get('/servers/:id/protection', async (c) => {
    requireRole(c, 'operator')
    const server = await findServer(services.store, c.req.param('id'))
    const model = { server, form: protectionForm(server), version: contentVersion(protectionOf(server)) }
    return sendPage(c, protectionPage(frameFor(context, viewerOf(c)), model))
  })

  app.post('/servers/:id/protection', async (c) => {
    requireRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const fields = await readForm(c)
    try {
      const check = shownVersion(fields['version'])
      const { userName } = viewerOf(c)
      await changeProtection(services, sourceServerId, protectionOfForm(fields), userName, check)
    } catch (error) {
      const status = statusOfRefusedForm(error)
      if (status === undefined) throw error
      const server = await findServer(services.store, sourceServerId)
      const form = { ...protectionForm(server), ...fields }
      const version = contentVersion(protectionOf(server))
      const model = { server, form, version, problem: asRefusal(error).message }
      return sendPage(c, protectionPage(frameFor(context, viewerOf(c)), model), status)
    }
    return c.redirect(`/servers/${sourceServerId}?done=protection`, 303)
  })

  app.get('/servers/:id/launch-configuration', async (c) => {
    requireRole(c, 'operator')
    const server = await findServer(services.store, c.req.param('id'))
    const { launchConfiguration } = server
    const model = { server, form: formOf(launchConfiguration), version: contentVersion(launchConfiguration) }
    return sendPage(c, launchConfigurationPage(frameFor(context, viewerOf(c)), model))
  })

  app.post('/servers/:id/launch-configuration', async (c) => {
    requireRole(c, 'operator')
    const { sourceServerId } = await findServer(services.store, c.req.param('id'))
    const fields = await readForm(c)
    try {
      const change = launchConfigurationOfForm(fields)
      const { userName } = viewerOf(c)
      const check = shownVersion(fields['version'])
      await changeLaunchConfiguration(services, sourceServerId, change, userName, check)
    } catch (error) {
      const status = statusOfRefusedForm(error)
      if (status === undefined) throw error
      const server = await findServer(services.store, sourceServerId)
      const { launchConfiguration } = server
      const model = {
        server,
        form: { ...formOf(launchConfiguration), ...fields },
        version: contentVersion(launchConfiguration),
        problem: asRefusal(error).message,
      }
      return sendPage(c, launchConfigurationPage(frameFor(context, viewerOf(c)), model), status)
    }
    return c.redirect(`/servers/${sourceServerId}?done=launch-configuration`, 303)
  })
  return app
}

async function serverModel(
  { services }: PageContext,
  server: SourceServer,
  viewer: Viewer,
): Promise<ServerModel> {
  const { sourceServerId, activeTask } = server
  const { replicationServerId } = server.replication
  const { store } = services
  const machine = server.launchedInstance
  const now = services.clock()
  const isSending = server.agent.desired === 'REPLICATE' && !isSilent(server, now)
  const [figures, events, task, replicationServer, screen, allowance, forecast] = await Promise.all([
    findFigures(services, [sourceServerId]),
    findEvents(store, server, maxEvents),
    activeTask && store.get('task', { id: activeTask.taskId }),
    replicationServerId && store.get('replicationServer', { id: replicationServerId }),
    machine && services.artefacts.readEnd(machine.jobId, sourceServerId, 'screenshot.png', 1),
    isSending ? services.bandwidth.allowanceOf(server) : undefined,
    // The page is good without it, and says that it is missing.
    withDeadline(services.forecasts.of(server), forecastDeadlineMs, 'the forecast').catch((error: unknown) =>
      error instanceof LateError ? 'LATE' : undefined,
    ),
  ])
  return {
    server,
    figures: figures.byServer.get(sourceServerId),
    areFiguresMissing: figures.areMissing,
    replicationServer: replicationServer?.value,
    refused: services.refusals.list().filter((call) => isCallOf(call, server)),
    events,
    task: task?.value,
    hasScreenshot: screen !== undefined,
    viewer,
    slugOf: (action) => actionSlugs[action],
    allowance,
    forecast,
    now,
  }
}

/** A refusal is over once the agent has been let in for this long; until then somebody still calls in vain beside it. */
const refusalIsOverMs = 60_000

/** Whether `call` was refused as this server's agent, and that is not over. */
function isCallOf(call: RefusedCall, { sourceServerId, agent }: SourceServer): boolean {
  const letInFor = agent.lastSeenAt === undefined ? 0 : Date.parse(agent.lastSeenAt) - Date.parse(call.at)
  return call.kind === 'CERTIFICATE' && call.subject === sourceServerId && letInFor < refusalIsOverMs
}

async function actionOf(
  { services }: PageContext,
  id: string,
  slug: string,
): Promise<{ server: SourceServer; action: NonNullable<ReturnType<typeof actionOfSlug>>; slug: string }> {
  const server = await findServer(services.store, id)
  const action = actionOfSlug(slug, server)
  if (action === undefined) throw new NotFoundError('action', slug)
  return { server, action, slug: actionSlugs[action] }
}
