/**
 * The bandwidth settings: a calendar for servers without their own, and the sites whose servers share a link.
 * @module
 */
import type { BandwidthSettings } from '../../domain/bandwidth.ts'
import type { Html } from '../html.ts'
import type { Frame } from '../layout.ts'
import { writeCalendarEntry } from '../../domain/bandwidth_lines.ts'
import { html, nothing } from '../html.ts'
import { layout } from '../layout.ts'
import { calendarFields, pageHead, problemStrip, saveButtons } from '../parts.ts'

/** The fields as they stand in the form: as stored, or as they were sent and refused. */
export interface BandwidthForm {
  timeZone: string
  calendar: string
  sites: string
}

/** Settings as the form shows them. */
export function bandwidthFormOf({ calendar, sites }: BandwidthSettings): BandwidthForm {
  return {
    timeZone: calendar?.timeZone ?? 'UTC',
    calendar: (calendar?.entries ?? []).map(writeCalendarEntry).join('\n'),
    sites: sites.map(({ name, limitMbps }) => `${name} ${limitMbps}`).join('\n'),
  }
}

/** The page. */
export function bandwidthPage(
  frame: Frame,
  { form, version, problem }: { form: BandwidthForm; version: string; problem?: string | undefined },
): Html {
  const body = html`<div class="narrow">
    ${pageHead('Bandwidth', { back: { href: '/settings', label: 'Settings' } })}
    ${problem === undefined ? nothing : problemStrip(problem)}
    <form class="card form" method="post" action="/settings/bandwidth">
      <input type="hidden" name="version" value="${version}" />
      ${calendarFields(form, 'For servers without a calendar of their own.')}
      <label class="field"
        ><span>Sites</span
        ><textarea name="sites" rows="4" spellcheck="false" aria-describedby="sites-hint">
${form.sites}</textarea
        ><small id="sites-hint"
          >One a line: name and Mbit/s that its servers share by priority. For example: berlin 200</small
        ></label
      >
      ${saveButtons('/settings')}
    </form>
  </div>`
  return layout(frame, { title: 'Bandwidth', section: 'settings', body })
}
