/**
 * Consistency points of a server: the last one, its age, how long writers were held, and how often points are reached.
 * @module
 */
import type { PointFigures } from '../../domain/point_figures.ts'
import type { ConsistencyRequest, SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Viewer } from '../layout.ts'
import { consistencyPolicyOf } from '../../domain/consistency_policy.ts'
import { lastDayOf } from '../../domain/point_figures.ts'
import { unreadInWords } from '../../domain/unread_blocks.ts'
import { count, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { mayOperate } from '../layout.ts'
import { badge, card, facts } from '../parts.ts'

const words = {
  REQUESTED: { label: 'Asked for', tone: 'info', icon: 'clock' },
  REACHED: { label: 'Reached', tone: 'info', icon: 'sync' },
  TAKEN: { label: 'Taken', tone: 'good', icon: 'circleCheck' },
  EXPIRED: { label: 'Expired', tone: 'warn', icon: 'clock' },
  FAILED: { label: 'Failed', tone: 'bad', icon: 'circleCross' },
} as const

/** The card; a part that live updates replace. */
export function consistencyCard(server: SourceServer, viewer: Viewer, now: Date): Html {
  const request = server.consistencyRequest
  const { points } = server.replication
  const change = mayOperate(viewer)
    ? html`<a class="quiet-link" href="/servers/${server.sourceServerId}/protection">Change</a>`
    : nothing
  const { intervalMinutes } = consistencyPolicyOf(server)
  const often = intervalMinutes === 0 ? 'for launches only' : `every ${count(intervalMinutes, 'minute')}`
  return card(
    'Consistency point',
    html`${request === undefined ? nothing : lastLaunch(request, now)}
    ${request === undefined && points === undefined ? html`<p class="muted">None yet: file systems are frozen for a moment, or a quiet moment is used.</p>` : nothing}
    ${facts([['Reached', often], ...(points === undefined ? [] : figureRows(points, now))])}`,
    { id: 'consistency', picture: 'shield', aside: change },
  )
}

/** The point of the last launch. */
function lastLaunch(request: ConsistencyRequest, now: Date): Html {
  const frozen = html`, file systems frozen for ${Math.round(request.frozenMs ?? 0)} ms`
  const quiet = html`, at a moment without writes`
  const how = request.method === undefined ? nothing : request.method === 'FROZEN' ? frozen : quiet
  const { roots = [], unread } = request
  return html`<p>
      ${badge(words[request.state])} for a launch ${when(request.reachedAt ?? request.requestedAt, now)}${how}
    </p>
    ${request.failure === undefined ? nothing : html`<p class="tone-text-bad">${request.failure}</p>`}
    ${unread === undefined ? nothing : html`<p class="muted">Not proven for every disk: ${unreadInWords(unread)}.</p>`}${
      roots.length === 0
        ? nothing
        : html`<details class="more">
            <summary>Proof of contents</summary>
            <ul class="roots">
              ${roots.map(({ diskIndex, root }) => html`<li>Disk ${diskIndex + 1}: <code>${root}</code></li>`)}
            </ul>
          </details>`
    }`
}

const hookWords = {
  NONE: undefined,
  RUN: 'run',
  FAILED: 'failed',
  NOT_RUN: 'not run, as nothing was frozen',
} as const

/** What is known of the points of the last day. */
function figureRows(points: PointFigures, now: Date): [string, Html | string | undefined][] {
  const day = lastDayOf(points, now.toISOString())
  const { held, failure, last } = points
  const milliseconds = (freezeMs: number, holdMs: number): string =>
    `${Math.round(freezeMs)} ms${holdMs > 0 ? `, applications for ${Math.round(holdMs)} ms` : ''}`
  return [
    ['Last reached', when(points.reachedAt, now, 'not yet')],
    ['Writers held last', held && html`${milliseconds(held.freezeMs, held.holdMs)}, ${when(held.at, now)}`],
    [
      'Writers held, last day',
      day.freezes === 0
        ? undefined
        : `${count(day.freezes, 'time')}, at most ${milliseconds(day.longestFreezeMs, day.longestHoldMs)}`,
    ],
    ['Points, last day', `${day.reached} reached, ${day.failed} not`],
    ['Hooks', hookWords[last.hooks]],
    ['Not reached', failure && html`${when(failure.at, now)}: ${failure.reason}`],
  ]
}
