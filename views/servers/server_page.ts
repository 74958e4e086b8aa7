/**
 * The page of one source server.
 * @module
 */
import type { Allowance } from '../../domain/bandwidth.ts'
import type { ServerEvent, SourceServer } from '../../domain/source_server.ts'
import type { Task } from '../../domain/task.ts'
import type { Html } from '../html.ts'
import type { Frame, Message, Viewer } from '../layout.ts'
import type { Word } from '../words.ts'
import type { ForecastModel, MissingForecast } from './forecast_card.ts'
import type { ReplicationModel } from './replication_card.ts'
import type { SlugOf } from './stepper.ts'
import { when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout } from '../layout.ts'
import { badge, card, facts } from '../parts.ts'
import { eventTypeWords, lifecycleWords, replicationWords } from '../words.ts'
import { diskOffersCard } from './disk_offers.ts'
import { consistencyCard } from './consistency_card.ts'
import { forecastCard } from './forecast_card.ts'
import { initiationCard, replicationCard } from './replication_card.ts'
import { agentCard, launchCard, replicationSettingsCard, sourceCard } from './side_cards.ts'
import { actionMenu, nextStep, stepper } from './stepper.ts'
import { verificationCard } from './verification_card.ts'

/** What the page shows. */
export interface ServerModel extends ReplicationModel {
  /** Newest first. */
  events: ServerEvent[]
  /** The saved steps of the work that goes on. */
  task: Task | undefined
  /** Whether the launched machine's screen was kept. */
  hasScreenshot: boolean
  /** What may be sent now; undefined while nothing is. */
  allowance: Allowance | undefined
  forecast: ForecastModel | MissingForecast
  viewer: Viewer
  slugOf: SlugOf
  message?: Message | undefined
}

/** The page. */
export function serverPage(frame: Frame, model: ServerModel, stream: string): Html {
  const { server } = model
  const body = html`<div class="page-head">
      <a class="back-link" href="/servers">Source servers</a>${serverHead(model)}
    </div>
    ${stepper(server)} ${nextStep(model)}
    <div class="columns">
      <div class="column-main">
        ${replicationCard(model)} ${diskOffersCard(server, model.viewer, model.now)} ${machineCard(model)}
        ${initiationCard(server)} ${eventsCard(model.events, model.now)}
      </div>
      <div class="column-side">
        ${forecastCard(model.forecast)} ${sourceCard(server, model.now)} ${agentCard(server, model.now)}
        ${consistencyCard(server, model.viewer, model.now)} ${verificationCard(server, model.now)}
        ${replicationSettingsCard(server, model.viewer, model.allowance)} ${launchCard(server, model.viewer)}
      </div>
    </div>
    <dialog id="dialog" class="dialog" aria-label="Confirm"></dialog>`
  const { hostname } = server.sourceProperties.identificationHints
  return layout(frame, { title: hostname, section: 'servers', body, message: model.message, stream })
}

/** The parts that change while one looks, by the id of the element that each replaces. */
export function serverParts(model: ServerModel): Map<string, Html> {
  const { server, now } = model
  return new Map([
    ['server-head', serverHead(model)],
    ['stepper', stepper(server)],
    ['next-step', nextStep(model)],
    ['replication', replicationCard(model)],
    ['disk-offers', diskOffersCard(server, model.viewer, now)],
    ['machine', machineCard(model)],
    ['initiation', initiationCard(server)],
    ['events', eventsCard(model.events, now)],
    ['forecast', forecastCard(model.forecast)],
    ['source', sourceCard(server, now)],
    ['agent', agentCard(server, now)],
    ['consistency', consistencyCard(server, model.viewer, now)],
    ['verification', verificationCard(server, now)],
    ['replication-settings', replicationSettingsCard(server, model.viewer, model.allowance)],
    ['launch', launchCard(server, model.viewer)],
  ])
}

function serverHead({ server, viewer, slugOf }: ServerModel): Html {
  const { hostname, fqdn } = server.sourceProperties.identificationHints
  return html`<div class="page-head-row" id="server-head">
    <div>
      <h1>
        ${hostname}
        ${badge(lifecycleWords[server.lifecycle.state])}${server.isArchived ? html` <span class="chip">archived</span>` : nothing}
      </h1>
      <p class="lead">
        ${fqdn === hostname || fqdn === '' ? nothing : html`${fqdn} · `}<code>${server.sourceServerId}</code>
      </p>
    </div>
    <div class="page-actions">${actionMenu(server, viewer, slugOf)}</div>
  </div>`
}

function machineCard({ server, hasScreenshot, now }: ServerModel): Html {
  const machine = server.launchedInstance
  if (machine === undefined) return html`<div id="machine"></div>`
  const boots = {
    WAITING: { label: 'Booting', tone: 'info', icon: 'clock' },
    SUCCEEDED: { label: 'Booted and checked', tone: 'good', icon: 'circleCheck' },
    UNKNOWN: { label: 'Boot not confirmed', tone: 'warn', icon: 'alert' },
    STOPPED: { label: 'Stopped', tone: 'neutral', icon: 'stop' },
  } as const
  const endpoints = (machine.endpoints ?? []).map(({ guestPort, host, port }) => {
    const address = `${host}:${port}`
    const isWeb = guestPort === 80 || guestPort === 443
    return html`<li>
      Port ${guestPort}:
      ${isWeb ? html`<a href="${guestPort === 443 ? 'https' : 'http'}://${address}" rel="noreferrer" target="_blank">${address}${icon('external')}<span class="visually-hidden"> (opens in a new tab)</span></a>` : html`<code>${address}</code>`}
    </li>`
  })
  return card(
    machine.purpose === 'TEST' ? 'Test machine' : 'Cutover machine',
    html`<div class="machine">
      <div>
        ${facts([
          ['Machine', html`<code>${machine.machineId}</code>`],
          ['Launched', when(machine.launchedAt, now)],
          ['Runs on', machine.description],
          [
            'Reach it at',
            endpoints.length === 0
              ? undefined
              : html`<ul class="plain">
                  ${endpoints}
                </ul>`,
          ],
        ])}
        <p><a href="/jobs/${machine.jobId}">Launch report with screenshot and serial log</a></p>
      </div>
      ${hasScreenshot ? thumbnail(server, machine.jobId) : nothing}
    </div>`,
    { id: 'machine', picture: 'server', aside: badge(boots[machine.firstBoot]) },
  )
}

function thumbnail(server: SourceServer, jobId: string): Html {
  const { hostname } = server.sourceProperties.identificationHints
  return html`<a class="thumbnail" href="/jobs/${jobId}"
    ><img
      class="screen"
      src="/jobs/${jobId}/${server.sourceServerId}/screenshot.png"
      alt="Screen of the machine launched for ${hostname}"
  /></a>`
}

function eventsCard(events: readonly ServerEvent[], now: Date): Html {
  const pictures = { INFO: icon('dot'), WARNING: icon('alert'), ERROR: icon('circleCross') } as const
  const items = events.map(
    (event) =>
      html`<li class="event ${event.level.toLowerCase()}">
        ${pictures[event.level]}
        <div>
          <p>
            ${event.level === 'INFO' ? nothing : html`<span class="visually-hidden">${event.level.toLowerCase()}: </span>`}${eventText(event)}
          </p>
          <p class="muted">${when(event.at, now)} · ${eventTypeWords[event.type]} · ${event.actor}</p>
        </div>
      </li>`,
  )
  return card(
    'Events',
    html`<ol class="events" tabindex="0" aria-label="Events, newest first">
      ${items}
    </ol>`,
    { id: 'events', picture: 'history' },
  )
}

/** Changes of state in the words that the rest of the page uses; everything else as it was written. */
function eventText(event: ServerEvent): string {
  const words = { LIFECYCLE_CHANGED: lifecycleWords, REPLICATION_CHANGED: replicationWords } as const
  const known: Readonly<Record<string, Word>> | undefined =
    event.type === 'LIFECYCLE_CHANGED' || event.type === 'REPLICATION_CHANGED' ? words[event.type] : undefined
  const from = known?.[String(event.detail['from'])]
  const to = known?.[String(event.detail['to'])]
  if (from === undefined || to === undefined) return event.message
  return `${event.type === 'LIFECYCLE_CHANGED' ? 'Lifecycle' : 'Replication'}: ${from.label} → ${to.label}`
}
