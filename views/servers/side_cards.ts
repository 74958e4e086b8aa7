/**
 * The cards beside a server's replication: the machine, its agent, its launch settings.
 * @module
 */
import type { Allowance } from '../../domain/bandwidth.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Viewer } from '../layout.ts'
import { hasNoAgentYet } from '../../domain/source_server.ts'
import { certificateExpiredAt } from '../../domain/agent_silence.ts'
import { defaultPriority } from '../../domain/site_budget.ts'
import { count, memory, when } from '../format.ts'
import { html, nothing } from '../html.ts'
import { mayOperate } from '../layout.ts'
import { card, facts } from '../parts.ts'
import { actionList } from './action_list.ts'

/** The machine as its agent saw it; a part that live updates replace. */
export function sourceCard(server: SourceServer, now: Date): Html {
  const { sourceProperties: source } = server
  const cores = source.cpus.reduce((sum, cpu) => sum + cpu.cores, 0)
  const excluded = source.disks.filter((disk) => disk.excludedBecause !== undefined)
  const interfaces = source.networkInterfaces.map(
    ({ name, ips, macAddress }) =>
      html`<li>${name}: ${ips.join(', ') || 'no address'} <span class="muted">${macAddress}</span></li>`,
  )
  const isUnseen = hasNoAgentYet(server)
  return card(
    'Source server',
    html`${facts([
      ['System', source.os.fullString],
      [
        'Processors',
        isUnseen
          ? undefined
          : `${count(cores, 'core')}${source.cpus[0] === undefined ? '' : `, ${source.cpus[0].modelName}`}`,
      ],
      ['Memory', isUnseen ? undefined : memory(source.ramBytes)],
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
      ['Added', when(server.createdAt, now)],
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

/** The agent; a part that live updates replace. */
export function agentCard(server: SourceServer, now: Date): Html {
  const { agent } = server
  const wishes = {
    REPLICATE: 'Replicate',
    PAUSE: 'Pause',
    STOP: 'Stop',
    UNINSTALL: 'Uninstall itself',
  } as const
  const isGone = agent.uninstalledAt !== undefined
  if (hasNoAgentYet(server)) {
    const install =
      server.userProvidedId === undefined ? '' : ` with --user-provided-id ${server.userProvidedId}`
    return card('Agent', facts([['Installed', `not yet: install it${install}`]]), {
      id: 'agent',
      picture: 'shield',
    })
  }
  return card(
    'Agent',
    facts([
      ['Version', agent.version],
      ['Last heard', when(agent.lastSeenAt, now, 'not yet')],
      ['Told to', isGone ? undefined : wishes[agent.desired]],
      ['Uninstalled', isGone ? when(agent.uninstalledAt, now) : undefined],
      [
        'Certificate',
        isGone
          ? undefined
          : certificateExpiredAt(server, now.toISOString()) === undefined
            ? html`expires ${when(agent.certificateNotAfter, now)}; renewed by itself`
            : html`expired ${when(agent.certificateNotAfter, now)}`,
      ],
      ['Started', agent.generation === 0 ? undefined : count(agent.generation, 'time')],
    ]),
    { id: 'agent', picture: 'shield' },
  )
}

/** How the server is replicated; a part that live updates replace. `allowance` is what holds now, while blocks may be sent. */
export function replicationSettingsCard(
  server: SourceServer,
  viewer: Viewer,
  allowance: Allowance | undefined,
): Html {
  const {
    bandwidthThrottlingMbps: limit,
    bandwidthCalendar,
    site,
    priority,
    yieldsToSource,
  } = server.replicationConfiguration
  const edit = mayOperate(viewer)
    ? html`<a class="quiet-link" href="/servers/${server.sourceServerId}/replication-configuration"
        >Change</a
      >`
    : nothing
  const now =
    allowance === undefined
      ? undefined
      : allowance.isOff
        ? 'nothing'
        : Number.isFinite(allowance.bitsPerSecond)
          ? `${(allowance.bitsPerSecond / 1e6).toFixed(1)} Mbit/s`
          : 'as much as the link takes'
  return card(
    'Replication settings',
    facts([
      [
        'May send now',
        now && html`${now}${allowance?.because && html` <span class="row-sub">${allowance.because}</span>`}`,
      ],
      ['Limit', limit === 0 ? 'none' : `${limit} Mbit/s`],
      ['Calendar', bandwidthCalendar === undefined ? 'that of the settings' : 'its own'],
      ['Site', site === undefined ? undefined : `${site}, priority ${priority ?? defaultPriority}`],
      ['Busy source disks', (yieldsToSource ?? true) ? 'slow copies down' : 'are not heeded'],
    ]),
    { id: 'replication-settings', picture: 'settings', aside: edit },
  )
}

/** How the server is launched; a part that live updates replace. */
export function launchCard(server: SourceServer, viewer: Viewer): Html {
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
      ['Actions', actionList(server)],
    ]),
    { id: 'launch', picture: 'settings', aside: edit },
  )
}
