/**
 * The page of one source server.
 * @module
 */
import type { ServerEvent, SourceServer } from '../../domain/source_server.ts'
import type { Figures } from '../figures.ts'
import type { Html } from '../html.ts'
import type { Frame, Message, Viewer } from '../layout.ts'
import type { Word } from '../words.ts'
import type { SlugOf } from './stepper.ts'
import { bytes, count, dateTime, moment, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { icon } from '../icons.ts'
import { layout, mayOperate } from '../layout.ts'
import { badge, card, facts } from '../parts.ts'
import { lifecycleWords, replicationWords } from '../words.ts'
import { consistencyCard, initiationCard, replicationCard } from './replication_card.ts'
import { actionMenu, nextStep, stepper } from './stepper.ts'

/** What the page shows. */
export interface ServerModel {
  server: SourceServer
  figures: Figures | undefined
  /** Newest first. */
  events: ServerEvent[]
  viewer: Viewer
  slugOf: SlugOf
  now: Date
  message?: Message | undefined
}

/** The page. */
export function serverPage(frame: Frame, model: ServerModel, stream: string): Html {
  const { server } = model
  const body = html`<div class="page-head">
      <a class="back-link" href="/servers">Source servers</a>${serverHead(model)}
    </div>
    ${stepper(server)} ${nextStep(server, model.viewer, model.slugOf, model.now)}
    <div class="columns">
      <div class="column-main">
        ${replicationCard(server, model.figures, model.now)} ${machineCard(model)} ${initiationCard(server)}
        ${eventsCard(model.events, model.now)}
      </div>
      <div class="column-side">
        ${sourceCard(server)} ${agentCard(model)} ${consistencyCard(server, model.now)} ${launchCard(model)}
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
    ['next-step', nextStep(server, model.viewer, model.slugOf, now)],
    ['replication', replicationCard(server, model.figures, now)],
    ['machine', machineCard(model)],
    ['initiation', initiationCard(server)],
    ['events', eventsCard(model.events, now)],
    ['source', sourceCard(server)],
    ['agent', agentCard(model)],
    ['consistency', consistencyCard(server, now)],
    ['launch', launchCard(model)],
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

function machineCard({ server, now }: ServerModel): Html {
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
    html`${facts([
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
      <p><a href="/jobs/${machine.jobId}">Launch report with screenshot and serial log</a></p>`,
    { id: 'machine', picture: 'server', aside: badge(boots[machine.firstBoot]) },
  )
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
          <p class="muted">${when(event.at, now)} · ${event.actor}</p>
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

function sourceCard(server: SourceServer): Html {
  const { sourceProperties: source } = server
  const cores = source.cpus.reduce((sum, cpu) => sum + cpu.cores, 0)
  const excluded = source.disks.filter((disk) => disk.excludedBecause !== undefined)
  const interfaces = source.networkInterfaces.map(
    ({ name, ips, macAddress }) =>
      html`<li>${name}: ${ips.join(', ') || 'no address'} <span class="muted">${macAddress}</span></li>`,
  )
  return card(
    'Source server',
    html`${facts([
      ['System', source.os.fullString],
      [
        'Processors',
        `${count(cores, 'core')}${source.cpus[0] === undefined ? '' : `, ${source.cpus[0].modelName}`}`,
      ],
      ['Memory', bytes(source.ramBytes)],
      ['Firmware', source.firmware === 'UNKNOWN' ? undefined : source.firmware],
      [
        'Network',
        interfaces.length === 0
          ? undefined
          : html`<ul class="plain">
              ${interfaces}
            </ul>`,
      ],
      ['Own id', server.userProvidedId],
      ['Tags', tagList(server.tags)],
      ['Added', moment(server.createdAt)],
    ])}${
      excluded.length === 0
        ? nothing
        : html`<details class="more">
            <summary>${count(excluded.length, 'disk')} left out</summary>
            <ul class="plain">
              ${excluded.map((disk) => html`<li><code>${disk.deviceName}</code> ${disk.excludedBecause}</li>`)}
            </ul>
          </details>`
    }`,
    { id: 'source', picture: 'server' },
  )
}

function tagList(tags: Record<string, string>): Html | undefined {
  const entries = Object.entries(tags)
  if (entries.length === 0) return undefined
  return html`${entries.map(([name, value]) => html`<span class="chip">${name}=${value}</span> `)}`
}

function agentCard({ server, now }: ServerModel): Html {
  const { agent } = server
  const wishes = {
    REPLICATE: 'Replicate',
    PAUSE: 'Pause',
    STOP: 'Stop',
    UNINSTALL: 'Uninstall itself',
  } as const
  const isGone = agent.uninstalledAt !== undefined
  return card(
    'Agent',
    facts([
      ['Version', agent.version],
      ['Last heard', when(agent.lastSeenAt, now, 'not yet')],
      ['Told to', isGone ? undefined : wishes[agent.desired]],
      ['Uninstalled', isGone ? when(agent.uninstalledAt, now) : undefined],
      [
        'Certificate',
        isGone ? undefined : html`valid until ${dateTime(agent.certificateNotAfter)}, renewed by itself`,
      ],
      ['Starts', agent.generation === 0 ? undefined : String(agent.generation)],
    ]),
    { id: 'agent', picture: 'shield' },
  )
}

function launchCard({ server, viewer }: ServerModel): Html {
  const configuration = server.launchConfiguration
  const checks = configuration.httpChecks.map(
    ({ port, path, contains }) =>
      html`<li>
        HTTP ${port} <code>${path}</code>${contains === undefined ? nothing : html` has “${contains}”`}
      </li>`,
  )
  const edit = mayOperate(viewer)
    ? html`<a class="quiet-link" href="/servers/${server.sourceServerId}/launch-configuration">Change</a>`
    : nothing
  return card(
    'Launch settings',
    facts([
      ['Machine name', configuration.name],
      ['Size', configuration.rightSizing === 'BASIC' ? 'Like the source' : 'Given by the target'],
      [
        'Boot',
        configuration.bootMode === 'USE_SOURCE'
          ? 'Like the source'
          : configuration.bootMode.replace('LEGACY_', ''),
      ],
      ['After launch', configuration.launchDisposition === 'STARTED' ? 'Started' : 'Left stopped'],
      ['Boot may take', `${configuration.bootTimeoutSeconds} s`],
      [
        'Must answer',
        checks.length === 0
          ? 'Login prompt only'
          : html`<ul class="plain">
              ${checks}
            </ul>`,
      ],
      ['Open ports', configuration.reachablePorts.join(', ') || 'none'],
    ]),
    { id: 'launch', picture: 'settings', aside: edit },
  )
}
