/**
 * The server list, and adding a server.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { ListFilter, ServerListModel } from '../../views/servers/list_page.ts'
import type { ContactModel } from '../../views/servers/add_page.ts'
import type { Html } from '../../views/html.ts'
import type { Viewer } from '../../views/layout.ts'
import type { LiveView } from '../live_hub.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { NotFoundError } from '../../domain/errors.ts'
import { isId } from '../../domain/ids.ts'
import { isSilent } from '../../views/figures.ts'
import { addServerPage, contactCard } from '../../views/servers/add_page.ts'
import {
  countFleet,
  fleetSummary,
  matchesFilter,
  serverListPage,
  serverTable,
} from '../../views/servers/list_page.ts'
import { rowId, serverRow } from '../../views/servers/row.ts'
import { actionSlugs } from '../actions.ts'
import { installCommand } from '../install_command.ts'
import { findHostnames } from '../job_reports.ts'
import { createInstallationToken, tokenLimits } from '../people/installation_tokens.ts'
import { findFigures } from '../queries.ts'
import { requireRole } from '../session_guard.ts'
import { doneMessage } from './messages.ts'
import { frameFor, readForm, sendPage, viewerOf } from './page_context.ts'

/** More than a person scrolls through; the search narrows it. */
const maxRows = 500

/** The routes. */
export function serverListPages(context: PageContext): Hono<PageEnv> {
  const { services, streams } = context
  const app = new Hono<PageEnv>()

  app.get('/', (c) => c.redirect('/servers', 303))

  app.get('/servers', async (c) => {
    const viewer = viewerOf(c)
    const filter = filterOf(c.req.query('view'), c.req.query('q'))
    const model = await listModel(context, filter, viewer)
    const stream = `/servers/live?${new URLSearchParams({ view: filter.view, q: filter.query }).toString()}`
    return sendPage(
      c,
      serverListPage(
        frameFor(context, viewer),
        { ...model, message: doneMessage(c.req.query('done')) },
        stream,
      ),
    )
  })

  app.get('/servers/live', (c) => {
    const viewer = viewerOf(c)
    const filter = filterOf(c.req.query('view'), c.req.query('q'))
    const topic = JSON.stringify(['servers', filter.view, filter.query, viewer.role])
    return streams.open(c, c.get('signedIn'), topic, async () =>
      liveList(await listModel(context, filter, viewer)),
    )
  })

  app.get('/servers/add', (c) => {
    requireRole(c, 'operator')
    return sendPage(c, addServerPage(frameFor(context, viewerOf(c)), { ports: portsOf(context) }))
  })

  app.post('/servers/add', async (c) => {
    requireRole(c, 'operator')
    const form = await readForm(c)
    const uses = Number(form['uses'] ?? '1')
    const lifetimeMs = Number(form['lifetimeMinutes'] ?? '60') * 60_000
    const problem = tokenProblem(uses, lifetimeMs)
    const frame = frameFor(context, viewerOf(c))
    if (problem !== undefined)
      return sendPage(c, addServerPage(frame, { ports: portsOf(context), problem }), 422)
    const at = services.clock().toISOString()
    const createdBy = viewerOf(c).userName
    const { token, record } = await createInstallationToken(
      services.store,
      { purpose: 'AGENT', createdBy, at, uses, lifetimeMs },
      services.random,
    )
    const contact = await contactOf(context, record.tokenId)
    const command = installCommand(services.installation, token)
    return sendPage(
      c,
      addServerPage(
        frame,
        { ports: portsOf(context), command, contact },
        `/servers/add/${record.tokenId}/live`,
      ),
    )
  })

  app.get('/servers/add/:token', async (c) => {
    requireRole(c, 'operator')
    const contact = await contactOf(context, c.req.param('token'))
    const model = { ports: portsOf(context), contact }
    return sendPage(
      c,
      addServerPage(frameFor(context, viewerOf(c)), model, `/servers/add/${contact.tokenId}/live`),
    )
  })

  app.get('/servers/add/:token/live', async (c) => {
    requireRole(c, 'operator')
    const { tokenId } = await contactOf(context, c.req.param('token'))
    return streams.open(c, c.get('signedIn'), JSON.stringify(['add', tokenId]), async () => {
      const parts = new Map([['contact', contactCard(await contactOf(context, tokenId))]])
      return { frame: '', parts, whole: parts }
    })
  })
  return app
}

function filterOf(view: string | undefined, query: string | undefined): ListFilter {
  return { view: view === 'archived' ? 'archived' : 'active', query: (query ?? '').trim().slice(0, 200) }
}

/** Stalled or silent: somebody should look. */
function needsAttention(server: SourceServer, now: Date): boolean {
  return server.replication.error !== undefined || isSilent(server, now)
}

async function listModel(
  { services }: PageContext,
  filter: ListFilter,
  viewer: Viewer,
): Promise<ServerListModel> {
  const now = services.clock()
  const all = await services.fleet.list()
  const shown = all
    .filter((server) => matchesFilter(server, filter))
    .slice(-maxRows)
    .toReversed()
  const figures = await findFigures(
    services,
    shown.map(({ sourceServerId }) => sourceServerId),
  )
  return {
    rows: shown.map((server) => ({ server, figures: figures.get(server.sourceServerId) })),
    filter,
    counts: countFleet(all, (server) => needsAttention(server, now)),
    context: { viewer, now, slugOf: (action) => actionSlugs[action] },
  }
}

/** Row by row while the same servers are shown, the whole table when one comes or goes. */
function liveList(model: ServerListModel): LiveView {
  const summary: [string, Html] = ['fleet-summary', fleetSummary(model.counts)]
  return {
    frame: model.rows.map(({ server }) => server.sourceServerId).join(' '),
    parts: new Map([
      summary,
      ...model.rows.map((row): [string, Html] => [rowId(row.server), serverRow(row, model.context)]),
    ]),
    whole: new Map([summary, ['server-list', serverTable(model)]]),
  }
}

function tokenProblem(uses: number, lifetimeMs: number): string | undefined {
  if (!Number.isInteger(uses) || uses < 1 || uses > tokenLimits.maxUses) {
    return `The command can be for 1 to ${tokenLimits.maxUses} servers`
  }
  const isLifetimeGood = lifetimeMs >= tokenLimits.minLifetimeMs && lifetimeMs <= tokenLimits.maxLifetimeMs
  return isLifetimeGood ? undefined : 'The command can be valid for a minute to 7 days'
}

async function contactOf({ services }: PageContext, id: string): Promise<ContactModel> {
  const token = isId('token', id) ? await services.store.get('token', { id }) : undefined
  if (token?.value.purpose !== 'AGENT') throw new NotFoundError('installation token', id)
  const { tokenId, expiresAt, usesLeft, usedBy } = token.value
  const hostnames = usedBy.length === 0 ? new Map<string, string>() : await findHostnames(services)
  const arrived = usedBy.flatMap((used) =>
    isId('sourceServer', used) ? [{ sourceServerId: used, hostname: hostnames.get(used) ?? used }] : [],
  )
  return { tokenId, expiresAt, usesLeft, arrived, now: services.clock() }
}

function portsOf({ services }: PageContext): {
  publicHost: string
  agentPort: number
  replicationPort: number
} {
  const { agentUrl, agentPort, replicationPort } = services.installation
  return { publicHost: new URL(agentUrl).hostname, agentPort, replicationPort }
}
