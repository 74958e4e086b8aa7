/**
 * Replication of a server: state, figures, disks, and the steps of its start.
 * @module
 */
import type { ReplicationServer } from '../../domain/enrolment.ts'
import type { ReplicatedDisk, SourceServer } from '../../domain/source_server.ts'
import type { Figures } from '../figures.ts'
import type { Html } from '../html.ts'
import type { RefusedCallModel } from '../trouble.ts'
import { needsExtension } from '../../domain/disk_changes.ts'
import { sourcesOf } from '../../domain/inventory.ts'
import { backlogBytes, diskProgress, isCopying, lagMs, liveState, serverProgress } from '../figures.ts'
import { bytes, duration, estimate, percent, rate, usage } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { badge, card, figure, notice, progressBar } from '../parts.ts'
import {
  lostReplicationServer,
  missingFigures,
  refusedCall,
  replicationError,
  silentAgent,
  slowedReading,
} from '../trouble.ts'
import { initiationWords, replicationWords, trackerWord } from '../words.ts'

/** What the card shows. */
export interface ReplicationModel {
  server: SourceServer
  figures: Figures | undefined
  /** Redis cannot be read, so that there are no figures of any server. */
  areFiguresMissing: boolean
  replicationServer: ReplicationServer | undefined
  /** Calls with this server's certificate that were refused lately. */
  refused: readonly RefusedCallModel[]
  now: Date
}

/** The card; a part that live updates replace. */
export function replicationCard(model: ReplicationModel): Html {
  const { server, figures, now } = model
  const state = liveState(server, figures)
  const progress = serverProgress(server, figures, now)
  const lag = lagMs(server, figures, now)
  const isOver = state === 'DISCONNECTED'
  const pausing = server.agent.desired === 'PAUSE' && state !== 'PAUSED' && !isOver
  const { millisecondsLeft } = progress
  const left =
    millisecondsLeft === undefined
      ? 'How long it takes cannot be told yet'
      : `About ${estimate(millisecondsLeft)} left`
  const isCatchingUp = state === 'BACKLOG' && millisecondsLeft !== undefined
  const waiting = isCatchingUp ? `safe in about ${estimate(millisecondsLeft)}` : 'changed, not yet safe'
  const bar = isCopying(state)
    ? html`<div class="copy-progress">
        ${progressBar(progress.share, 'Copied of all disks')}
        <p class="muted">${bytes(progress.doneBytes)} of ${bytes(progress.totalBytes)}. ${left}</p>
      </div>`
    : nothing
  const backlog = backlogBytes(server, figures)
  const numbers = isOver
    ? html`<p class="muted">Replication has ended, and its copy in the staging area is given up.</p>`
    : html`<dl class="figures">
        ${figure('Lag', lag === null ? '–' : duration(lag), lag === null ? 'once the first copy is done' : 'behind the source', lag !== null && lag > 60_000 ? 'warn' : 'neutral')}${figure('Backlog', bytes(backlog), waiting)}${figure('Throughput', figures === undefined ? '–' : rate(figures.bytesPerSecond), figures === undefined ? undefined : `${bytes(figures.wireBytes)} sent`)}
      </dl>`
  return card(
    'Replication',
    html`${problems(model)}${pausing ? notice('info', 'Pausing', 'The agent pauses at its next report.') : nothing}${bar}${numbers}${diskTable(server, figures)}`,
    { id: 'replication', picture: 'sync', aside: badge(replicationWords[state]) },
  )
}

/** Everything that stands in the way of replication, the gravest first. */
function problems({ server, refused, replicationServer, areFiguresMissing, now }: ReplicationModel): Html {
  return html`${replicationError(server, now)}${refused.map((call) => refusedCall(call, now))}${lostReplicationServer(replicationServer, now)}${silentAgent(server, now)}${areFiguresMissing ? missingFigures() : nothing}${slowedReading(server)}`
}

const usageTitle =
  'By the file systems that are mounted, as the agent saw them within the last day. Space that was freed is copied too, unless it is zeros'

function diskTable(server: SourceServer, figures: Figures | undefined): Html {
  const state = liveState(server, figures)
  // Of a copy that is given up there are no figures.
  const isOver = state === 'DISCONNECTED'
  const rows = sourcesOf(server.disks, server.sourceProperties.disks).map(({ disk, source }) => {
    const progress = diskProgress(disk, state, figures)
    const tracker =
      disk.tracker === undefined
        ? html`<span class="muted">–</span>`
        : html`<span title="${disk.tracker.reason}">${trackerWord(disk.tracker.kind)}</span>`
    const live = figures?.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)
    const copied = html`<td data-label="Copied">
        ${progressBar(progress.share, `Copied of ${disk.deviceName}: ${percent(progress.share)}`, progress.share === 1 ? 'good' : 'accent')}
      </td>
      <td data-label="Backlog" class="number">${bytes(live?.backlogBytes ?? disk.backlogBytes)}</td>`
    return html`<tr>
      <th scope="row" data-label="Disk">
        ${icon('disk')}
        ${disk.deviceName}${disk.isBootDisk ? html` <span class="chip">boot</span>` : nothing}${extensionMark(disk)}
      </th>
      <td data-label="Size" class="number">
        ${bytes(disk.sizeBytes)}${source?.usage === undefined ? nothing : html`, <span title="${usageTitle}">${usage(source.usage, disk.sizeBytes)}</span>`}
      </td>
      ${isOver ? nothing : copied}
      <td data-label="Changes seen by">${tracker}</td>
    </tr>`
  })
  return html`<div class="table-box flat">
    <table class="table compact">
      <caption class="visually-hidden">
        Disks
      </caption>
      <thead>
        <tr>
          <th scope="col">Disk</th>
          <th scope="col" class="number">Size</th>
          ${
            isOver
              ? nothing
              : html`<th scope="col" class="wide">Copied</th>
                  <th scope="col" class="number">Backlog</th>`
          }
          <th scope="col">Changes seen by</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`
}

/** That a disk waits for a volume, or for a larger one. */
function extensionMark(disk: ReplicatedDisk): Html {
  if (!needsExtension(disk)) return nothing
  const what =
    disk.wantedSizeBytes === undefined ? 'waits for its volume' : `grows to ${bytes(disk.wantedSizeBytes)}`
  const failure = disk.extension === undefined ? '' : `: ${disk.extension.failure}`
  return html` <span class="chip">${what}${failure}</span>`
}

/** The eleven steps between "agent installed" and "first byte"; a part that live updates replace. Folded once they are done. */
export function initiationCard(server: SourceServer): Html {
  const { steps } = server.replication.initiation
  const done = steps.filter(({ status }) => status === 'SUCCEEDED' || status === 'SKIPPED').length
  const isDone = done === steps.length
  const pictures = {
    NOT_STARTED: icon('circle'),
    IN_PROGRESS: icon('sync'),
    SUCCEEDED: icon('circleCheck'),
    FAILED: icon('circleCross'),
    SKIPPED: icon('circleCheck'),
  } as const
  const said = {
    NOT_STARTED: 'to come',
    IN_PROGRESS: 'in progress',
    SUCCEEDED: 'done',
    FAILED: 'failed',
    SKIPPED: 'not needed',
  } as const
  const items = steps.map(({ name, status }) => {
    // Of what is done or to come the icon says enough; the words are for those who do not see it.
    const isQuiet = status === 'SUCCEEDED' || status === 'NOT_STARTED'
    return html`<li class="check ${status.toLowerCase().replace('_', '-')}">
      ${pictures[status]}<span>${initiationWords[name]}</span
      ><span class="${isQuiet ? 'visually-hidden' : 'check-state'}">${said[status]}</span>
    </li>`
  })
  return html`<details class="card fold" id="initiation" ${isDone ? nothing : html` open`}>
    <summary class="card-head">
      <h2>${icon('play')}Start of replication</h2>
      <span class="fold-mark">${done} of ${steps.length}${icon('chevron')}</span>
    </summary>
    <ol class="checks">
      ${items}
    </ol>
  </details>`
}
