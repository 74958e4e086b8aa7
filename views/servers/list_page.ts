/**
 * The list of source servers.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { LifecycleState } from '../../domain/lifecycle.ts'
import type { Html } from '../html.ts'
import type { Frame, Message } from '../layout.ts'
import type { ListFilter } from './list_filter.ts'
import type { RowContext, ServerRow } from './row.ts'
import { count } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout, mayOperate } from '../layout.ts'
import { emptyState, pageHead } from '../parts.ts'
import { missingFigures } from '../trouble.ts'
import { listAddress } from './list_filter.ts'
import { serverRow } from './row.ts'

/** Which of the matching servers are on this page. */
export interface ListRange {
  /** Position of the first row, from 1. */
  first: number
  total: number
  pages: number
}

/** The list. */
export interface ServerListModel {
  rows: ServerRow[]
  filter: ListFilter
  range: ListRange
  areFiguresMissing: boolean
  counts: FleetCounts
  context: RowContext
  message?: Message | undefined
}

/** How many servers are where. */
export interface FleetCounts {
  active: number
  archived: number
  copying: number
  ready: number
  testing: number
  cuttingOver: number
  attention: number
}

const groups: Partial<Record<LifecycleState, 'copying' | 'ready' | 'testing' | 'cuttingOver'>> = {
  NOT_READY: 'copying',
  READY_FOR_TEST: 'ready',
  READY_FOR_CUTOVER: 'ready',
  TESTING: 'testing',
  CUTTING_OVER: 'cuttingOver',
}

/** Counts servers for the strip above the list. */
export function countFleet(
  servers: readonly SourceServer[],
  needsAttention: (server: SourceServer) => boolean,
): FleetCounts {
  const counts: FleetCounts = {
    active: 0,
    archived: 0,
    copying: 0,
    ready: 0,
    testing: 0,
    cuttingOver: 0,
    attention: 0,
  }
  for (const server of servers) {
    if (server.isArchived) {
      counts.archived++
      continue
    }
    counts.active++
    const group = groups[server.lifecycle.state]
    if (group !== undefined) counts[group]++
    if (needsAttention(server)) counts.attention++
  }
  return counts
}

/** The page. */
export function serverListPage(frame: Frame, model: ServerListModel, stream: string): Html {
  const body = html`${pageHead('Source servers', {
      lead: 'Every server that Rehost copies, tests and cuts over.',
      actions: mayOperate(model.context.viewer)
        ? html`<a class="button primary" href="/servers/add">${icon('plus')}<span>Add server</span></a>`
        : nothing,
    })}
    ${model.counts.active + model.counts.archived === 0 ? nothing : html`${fleetSummary(model.counts)}${figuresNotice(model.areFiguresMissing)}${filterBar(model)}`}
    ${serverTable(model)}
    <dialog id="dialog" class="dialog" aria-label="Confirm"></dialog>`
  return layout(frame, { title: 'Servers', section: 'servers', body, message: model.message, stream })
}

/** The strip of counts; a part that live updates replace. */
export function fleetSummary(counts: FleetCounts): Html {
  const tile = (label: string, amount: number, tone: string) =>
    html`<div class="tile${amount > 0 ? html` tone-${tone}` : nothing}">
      <dt>${label}</dt>
      <dd>${amount}</dd>
    </div>`
  return html`<dl class="tiles" id="fleet-summary">
    ${tile('Copying', counts.copying, 'info')}${tile('Ready', counts.ready, 'good')}${tile('In test', counts.testing, 'accent')}${tile('Cutting over', counts.cuttingOver, 'accent')}${tile('Need attention', counts.attention, 'bad')}
  </dl>`
}

/** Says that live figures are missing, when they are; a part that live updates replace. */
export function figuresNotice(areMissing: boolean): Html {
  return html`<div id="figures-notice">${areMissing ? missingFigures() : nothing}</div>`
}

/** Which servers to look at, with how many there are; a part that live updates replace. */
export function fleetTabs({ filter, counts }: Pick<ServerListModel, 'filter' | 'counts'>): Html {
  const tab = (view: ListFilter['view'], label: string, amount: number) =>
    html`<a
      class="tab"
      href="${listAddress('/servers', { view, query: '', page: 1 })}"
      ${view === filter.view ? html` aria-current="true"` : nothing}
      >${label} <span class="tab-count">${amount}</span></a
    >`
  return html`<nav class="tabs" id="fleet-tabs" aria-label="Which servers">
    ${tab('active', 'Active', counts.active)}${tab('attention', 'Need attention', counts.attention)}${tab('archived', 'Archived', counts.archived)}
  </nav>`
}

function filterBar(model: ServerListModel): Html {
  const { filter } = model
  return html`<div class="bar">
    ${fleetTabs(model)}
    <form class="search" method="get" action="/servers" role="search">
      <input type="hidden" name="view" value="${filter.view}" /><label class="search-field"
        >${icon('search')}<span class="visually-hidden">Search servers</span
        ><input
          type="search"
          name="q"
          value="${filter.query}"
          placeholder="Name, address, state, tag" /></label
      ><button class="button" type="submit">Search</button>
    </form>
  </div>`
}

/** The table; a part that live updates replace when servers come or go. */
export function serverTable(model: ServerListModel): Html {
  const { rows, filter, counts, context } = model
  return html`<div id="server-list">
    ${
      rows.length === 0
        ? emptyList(filter, counts, context)
        : html`<div class="table-box">
              <table class="table">
                <caption class="visually-hidden">
                  ${count(rows.length, 'source server')}
                </caption>
                <thead>
                  <tr>
                    <th scope="col">Server</th>
                    <th scope="col">Lifecycle</th>
                    <th scope="col">Replication</th>
                    <th scope="col" class="number">Lag</th>
                    <th scope="col">Last seen</th>
                    <th scope="col">Next step</th>
                  </tr>
                </thead>
                <tbody>
                  ${rows.map((row) => serverRow(row, context))}
                </tbody>
              </table>
            </div>
            ${pager(model)}`
    }
  </div>`
}

function pager({ rows, filter, range }: ServerListModel): Html {
  if (range.pages === 1) return nothing
  const last = range.first + rows.length - 1
  const link = (page: number, label: string) =>
    page < 1 || page > range.pages
      ? html`<span class="button small off" aria-disabled="true">${label}</span>`
      : html`<a class="button small" href="${listAddress('/servers', { ...filter, page })}">${label}</a>`
  return html`<nav class="pager" aria-label="Pages">
    <span class="muted">${range.first}–${last} of ${range.total} servers</span>
    ${link(filter.page - 1, 'Newer')}${link(filter.page + 1, 'Older')}
  </nav>`
}

function emptyList(filter: ListFilter, counts: FleetCounts, context: RowContext): Html {
  if (filter.query !== '') {
    return emptyState(
      'search',
      'No server matches',
      html`Nothing here has “${filter.query}” in its name, system, state or tags.`,
      html`<a class="button" href="/servers">Show all servers</a>`,
    )
  }
  if (filter.view === 'attention') {
    return emptyState('circleCheck', 'All is well', html`No server is stalled, and every agent is heard.`)
  }
  if (filter.view === 'archived') {
    return emptyState(
      'archive',
      'Nothing is archived',
      html`Servers that are cut over or disconnected can be archived from their page.`,
    )
  }
  if (counts.archived > 0) {
    return emptyState(
      'circleCheck',
      'No active server',
      html`Everything is archived. Add a server to migrate the next one.`,
      addButton(context),
    )
  }
  return emptyState(
    'server',
    'Add your first server',
    html`Run one command on the server you want to move. It keeps working while its disks are copied, and
    nothing on it is changed.`,
    addButton(context),
  )
}

function addButton(context: RowContext): Html {
  return mayOperate(context.viewer)
    ? html`<a class="button primary" href="/servers/add">${icon('plus')}<span>Add server</span></a>`
    : nothing
}
