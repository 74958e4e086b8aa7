/**
 * One server: its page, its live parts, its actions and its launch settings.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Viewer } from '../../views/layout.ts'
import type { ServerModel } from '../../views/servers/server_page.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { ZodError } from 'zod'
import { decideAction } from '../../domain/actions.ts'
import { ConflictError, InvalidInputError, NotFoundError } from '../../domain/errors.ts'
import { confirmForm, confirmPage } from '../../views/servers/confirm_page.ts'
import { launchConfigurationPage } from '../../views/servers/launch_configuration_page.ts'
import { serverPage, serverParts } from '../../views/servers/server_page.ts'
import { actionOfSlug, actionSlugs, performAction } from '../actions.ts'
import { changeLaunchConfiguration, launchConfigurationOfForm } from '../launch_settings.ts'
import { asRefusal } from '../problem.ts'
import { findEvents, findFigures, findServer } from '../queries.ts'
import { requireRole } from '../session_guard.ts'
import { doneMessage } from './messages.ts'
import { frameFor, readForm, sendPage, viewerOf } from './page_context.ts'

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
      if (!(error instanceof ConflictError)) throw error
      const current = await findServer(services.store, server.sourceServerId)
      const decision = decideAction(current, action)
      const refused = decision.possible ? { possible: false as const, because: error.message } : decision
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

  app.get('/servers/:id/launch-configuration', async (c) => {
    requireRole(c, 'operator')
    const server = await findServer(services.store, c.req.param('id'))
    const model = { server, configuration: server.launchConfiguration }
    return sendPage(c, launchConfigurationPage(frameFor(context, viewerOf(c)), model))
  })

  app.post('/servers/:id/launch-configuration', async (c) => {
    requireRole(c, 'operator')
    const server = await findServer(services.store, c.req.param('id'))
    try {
      const change = launchConfigurationOfForm(await readForm(c))
      await changeLaunchConfiguration(services, server.sourceServerId, change, viewerOf(c).userName)
    } catch (error) {
      if (!(error instanceof InvalidInputError) && !(error instanceof ZodError)) throw error
      const model = { server, configuration: server.launchConfiguration, problem: asRefusal(error).message }
      return sendPage(c, launchConfigurationPage(frameFor(context, viewerOf(c)), model), 422)
    }
    return c.redirect(`/servers/${server.sourceServerId}?done=launch-configuration`, 303)
  })
  return app
}

async function serverModel(
  { services }: PageContext,
  server: SourceServer,
  viewer: Viewer,
): Promise<ServerModel> {
  const { sourceServerId } = server
  const [figures, events] = await Promise.all([
    findFigures(services, [sourceServerId]),
    findEvents(services.store, server, maxEvents),
  ])
  return {
    server,
    figures: figures.get(sourceServerId),
    events,
    viewer,
    slugOf: (action) => actionSlugs[action],
    now: services.clock(),
  }
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
