/**
 * Changing how a server is replicated.
 * @module
 */
import type { ReplicationConfiguration, SourceServer } from '../../domain/source_server.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import { writeCalendarEntry } from '../../domain/bandwidth_lines.ts'
import { defaultPriority } from '../../domain/site_budget.ts'
import { html, nothing } from '../html.ts'
import { layout } from '../layout.ts'
import { calendarFields, pageHead, problemStrip, saveButtons } from '../parts.ts'

/** The fields as they stand in the form: as stored, or as they were sent and refused. */
export interface ReplicationForm {
  bandwidthThrottlingMbps: string
  timeZone: string
  calendar: string
  site: string
  priority: string
  yieldsToSource: string
}

/** The form. */
export interface ReplicationConfigurationModel {
  server: SourceServer
  form: ReplicationForm
  /** Names the stored settings that the form was made from. */
  version: string
  /** Names of the sites there are. */
  sites: readonly string[]
  problem?: string | undefined
}

/** Settings as the form shows them. */
export function replicationFormOf(configuration: ReplicationConfiguration): ReplicationForm {
  const { bandwidthThrottlingMbps, bandwidthCalendar, site, priority, yieldsToSource } = configuration
  return {
    bandwidthThrottlingMbps: String(bandwidthThrottlingMbps),
    timeZone: bandwidthCalendar?.timeZone ?? 'UTC',
    calendar: (bandwidthCalendar?.entries ?? []).map(writeCalendarEntry).join('\n'),
    site: site ?? '',
    priority: String(priority ?? defaultPriority),
    yieldsToSource: (yieldsToSource ?? true) ? 'yes' : 'no',
  }
}

const priorities: readonly (readonly [string, string])[] = [
  ['5', '5, first'],
  ['4', '4'],
  ['3', '3, as most'],
  ['2', '2'],
  ['1', '1, last'],
]

/** The page. */
export function replicationConfigurationPage(
  frame: Frame,
  { server, form, version, sites, problem }: ReplicationConfigurationModel,
): Html {
  const address = `/servers/${server.sourceServerId}`
  const option = (value: string, label: string, chosen: string) =>
    html`<option value="${value}" ${value === chosen ? html` selected` : nothing}>${label}</option>`
  const known = sites.includes(form.site) || form.site === '' ? sites : [...sites, form.site]
  const body = html`<div class="narrow">
    ${pageHead('Replication settings', { back: { href: address, label: server.sourceProperties.identificationHints.hostname } })}
    ${problem === undefined ? nothing : problemStrip(problem)}
    <form class="card form" method="post" action="${address}/replication-configuration">
      <input type="hidden" name="version" value="${version}" />
      <label class="field"
        ><span>Limit, Mbit/s</span
        ><input
          name="bandwidthThrottlingMbps"
          type="number"
          min="0"
          max="1000000"
          step="any"
          value="${form.bandwidthThrottlingMbps}"
          aria-describedby="limit-hint"
          required
        /><small id="limit-hint">0 for none; holds whenever the calendar names no other</small></label
      >
      ${calendarFields(form, 'Without lines, the calendar of the settings holds.')}
      <div class="field-pair">
        <label class="field"
          ><span>Site</span
          ><select name="site" aria-describedby="site-hint">
            ${option('', 'None', form.site)}${known.map((name) => option(name, name, form.site))}</select
          ><small id="site-hint"
            >Servers of a site share its bandwidth; sites are made in the bandwidth settings</small
          ></label
        >
        <label class="field"
          ><span>Priority among the servers of the site</span
          ><select name="priority">
            ${priorities.map(([value, label]) => option(value, label, form.priority))}
          </select></label
        >
      </div>
      <label class="field"
        ><span>When the source's disks are busy</span
        ><select name="yieldsToSource">
          ${option('yes', 'Copy and compare more slowly', form.yieldsToSource)}${option('no', 'Go on at full speed', form.yieldsToSource)}
        </select></label
      >
      ${saveButtons(address)}
    </form>
  </div>`
  return layout(frame, { title: 'Replication settings', section: 'servers', body })
}
