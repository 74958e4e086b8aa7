/**
 * One source server in the list.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Figures } from '../figures.ts'
import type { Html } from '../html.ts'
import type { Viewer } from '../layout.ts'
import { hasNoAgentYet } from '../../domain/source_server.ts'
import { decideAction, nextAction } from '../../domain/actions.ts'
import { backlogBytes, isCopying, isSilent, lagMs, liveState, serverProgress } from '../figures.ts'
import { bytes, count, duration, estimate, percent, rate, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { mayOperate } from '../layout.ts'
import { badge, progressBar } from '../parts.ts'
import { actionWords } from '../action_words.ts'
import { lifecycleWords, replicationWords, workWords } from '../words.ts'

/** What a row shows. */
export interface ServerRow {
  server: SourceServer
  figures: Figures | undefined
}

/** Who looks, when, and how actions are addressed. */
export interface RowContext {
  viewer: Viewer
  now: Date
  slugOf: (action: NonNullable<ReturnType<typeof nextAction>>) => string
}

/** The element that live updates replace. */
export function rowId(server: SourceServer): string {
  return `row-${server.sourceServerId}`
}

/** The row. */
export function serverRow({ server, figures }: ServerRow, context: RowContext): Html {
  const { hostname } = server.sourceProperties.identificationHints
  const diskBytes = server.disks.reduce((sum, disk) => sum + disk.sizeBytes, 0)
  return html`<tr id="${rowId(server)}">
    <th scope="row" data-label="Server">
      <a class="row-name" href="/servers/${server.sourceServerId}">${hostname}</a>${
        hasNoAgentYet(server)
          ? html`<span class="row-sub">${server.userProvidedId}</span>`
          : html`<span class="row-sub">${server.sourceProperties.os.fullString || 'Unknown system'}</span
              ><span class="row-sub">${count(server.disks.length, 'disk')}, ${bytes(diskBytes)}</span>`
      }
    </th>
    <td data-label="Lifecycle">${badge(lifecycleWords[server.lifecycle.state])}</td>
    <td data-label="Replication">${replicationCell(server, figures, context.now)}</td>
    <td data-label="Lag" class="number">${lagCell(server, figures, context.now)}</td>
    <td data-label="Last seen">
      ${isSilent(server, context.now) ? html`<span class="tone-text-warn">${icon('alert')} ${when(server.agent.lastSeenAt, context.now)}</span>` : when(server.agent.lastSeenAt, context.now, 'not yet')}
    </td>
    <td data-label="Next step" class="next-cell">${nextCell(server, context)}</td>
  </tr>`
}

function replicationCell(server: SourceServer, figures: Figures | undefined, now: Date): Html {
  const state = liveState(server, figures)
  const word = replicationWords[state]
  const progress = serverProgress(server, figures, now)
  const isOver = state === 'DISCONNECTED' || state === 'STOPPED'
  const left =
    progress.millisecondsLeft === undefined ? nothing : html` · ${estimate(progress.millisecondsLeft)} left`
  const problem = server.replication.error
  const detail =
    problem !== undefined
      ? html`<span class="row-sub tone-text-bad">${problem.rawError}</span>`
      : isOver || !isCopying(state)
        ? nothing
        : html`<span class="row-sub"
            >${bytes(progress.doneBytes)} of
            ${bytes(progress.totalBytes)}${figures === undefined ? nothing : html` · ${rate(figures.bytesPerSecond)}`}${left}</span
          >`
  const silent = isSilent(server, now)
    ? html`<span class="row-sub tone-text-warn">The agent is silent</span>`
    : nothing
  return html`<span class="row-state tone-text-${word.tone}">${icon(word.icon)} ${word.label}</span
    >${isCopying(state) ? progressBar(progress.share, `Copied: ${percent(progress.share)}`) : nothing}${detail}${silent}`
}

function lagCell(server: SourceServer, figures: Figures | undefined, now: Date): Html {
  const lag = lagMs(server, figures, now)
  const backlog = backlogBytes(server, figures)
  if (lag === null) return html`<span class="muted">–</span>`
  return html`<span>${duration(lag)}</span
    >${backlog > 0 ? html`<span class="row-sub">${bytes(backlog)} backlog</span>` : nothing}`
}

function nextCell(server: SourceServer, context: RowContext): Html {
  if (server.activeTask !== undefined) {
    return html`<span class="row-work"
      >${icon('sync')}<span>${workWords[server.activeTask.kind]}…</span></span
    >`
  }
  const action = nextAction(server)
  if (action === undefined || !mayOperate(context.viewer)) return html`<span class="muted">–</span>`
  const decision = decideAction(server, action)
  const word = actionWords[action]
  if (!decision.possible) {
    return html`<span class="muted" title="${decision.because}"
      >${word.button}<span class="row-sub">Not yet possible</span></span
    >`
  }
  return html`<a
    class="button small primary"
    href="/servers/${server.sourceServerId}/actions/${context.slugOf(action)}"
    data-dialog
    >${icon(word.icon)}<span>${word.button}</span></a
  >`
}
