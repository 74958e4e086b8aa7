/**
 * The server list.
 * @module
 */
import type { Html } from '../../views/html.ts'
import type { Viewer } from '../../views/layout.ts'
import type { ListFilter } from '../../views/servers/list_filter.ts'
import type { ServerListModel } from '../../views/servers/list_page.ts'
import type { LiveView } from '../live_hub.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { listAddress, matchesFilter } from '../../views/servers/list_filter.ts'
import {
  countFleet,
  figuresNotice,
  fleetSummary,
  fleetTabs,
  serverListPage,
  serverTable,
} from '../../views/servers/list_page.ts'
import { troubleFinder } from '../../views/figures.ts'
import { rowId, serverRow } from '../../views/servers/row.ts'
import { actionSlugs } from '../actions.ts'
import { findFigures } from '../queries.ts'
import { doneMessage } from './messages.ts'
import { frameFor, sendPage, viewerOf } from './page_context.ts'

/** Rows on a page: what a screen or two hold. Each is drawn again every second for those who watch. */
const rowsPerPage = 50

/** The routes. */
export function serverListPages(context: PageContext): Hono<PageEnv> {
  const { streams } = context
  const app = new Hono<PageEnv>()

  app.get('/', (c) => c.redirect('/servers', 303))

  app.get('/servers', async (c) => {
    const viewer = viewerOf(c)
    const model = await listModel(context, filterOf(c.req.query()), viewer)
    const stream = listAddress('/servers/live', model.filter)
    const shown = { ...model, message: doneMessage(c.req.query('done')) }
    return sendPage(c, serverListPage(frameFor(context, viewer), shown, stream))
  })

  app.get('/servers/live', (c) => {
    const viewer = viewerOf(c)
    const filter = filterOf(c.req.query())
    const topic = JSON.stringify(['servers', filter, viewer.role])
    return streams.open(c, c.get('signedIn'), topic, async () =>
      liveList(await listModel(context, filter, viewer)),
    )
  })
  return app
}

function filterOf({ view, q = '', page }: Record<string, string>): ListFilter {
  const number = Number(page ?? '1')
  return {
    view: view === 'archived' || view === 'attention' ? view : 'active',
    query: q.trim().slice(0, 200),
    page: Number.isSafeInteger(number) && number >= 1 ? number : 1,
  }
}

async function listModel(
  { services }: PageContext,
  wanted: ListFilter,
  viewer: Viewer,
): Promise<ServerListModel> {
  const now = services.clock()
  const all = await services.fleet.latest()
  const isTroubled = troubleFinder(now)
  const matching = all.filter((server) => matchesFilter(server, wanted, isTroubled))
  // Servers may have gone since the page was asked for: the last page there is, then.
  const pages = Math.max(1, Math.ceil(matching.length / rowsPerPage))
  const page = Math.min(wanted.page, pages)
  // Newest first.
  const end = matching.length - (page - 1) * rowsPerPage
  const shown = matching.slice(Math.max(0, end - rowsPerPage), end).toReversed()
  const figures = await findFigures(
    services,
    shown.map(({ sourceServerId }) => sourceServerId),
  )
  return {
    rows: shown.map((server) => ({ server, figures: figures.byServer.get(server.sourceServerId) })),
    filter: { ...wanted, page },
    range: { first: (page - 1) * rowsPerPage + 1, total: matching.length, pages },
    areFiguresMissing: figures.areMissing,
    counts: countFleet(all, isTroubled),
    context: { viewer, now, slugOf: (action) => actionSlugs[action] },
  }
}

/** Row by row while the same servers are shown, the whole table when one comes or goes. */
function liveList(model: ServerListModel): LiveView {
  const always: [string, Html][] = [
    ['fleet-summary', fleetSummary(model.counts)],
    ['fleet-tabs', fleetTabs(model)],
    ['figures-notice', figuresNotice(model.areFiguresMissing)],
  ]
  const rows = model.rows.map((row): [string, Html] => [rowId(row.server), serverRow(row, model.context)])
  return {
    frame: JSON.stringify([model.range.total, model.rows.map(({ server }) => server.sourceServerId)]),
    parts: new Map([...always, ...rows]),
    whole: new Map([...always, ['server-list', serverTable(model)]]),
  }
}
