/**
 * How fast a server may send now: its own limit, the calendar's, and its share of the site's.
 * @module
 */
import type { BandwidthCalendar } from './bandwidth_calendar.ts'
import type { SourceServer } from './source_server.ts'
import { calendarProblem, entryAt } from './bandwidth_calendar.ts'
import { limitInWords } from './bandwidth_lines.ts'

/** Servers that share a link. */
export interface Site {
  name: string
  /** Megabits a second, for all of them together. */
  limitMbps: number
}

/** What holds for all servers. */
export interface BandwidthSettings {
  /** For servers without a calendar of their own. */
  calendar?: BandwidthCalendar
  sites: readonly Site[]
}

/** What a server may send. */
export interface Allowance {
  /** Nothing is sent at all; changes go on being noticed. */
  isOff: boolean
  /** Infinite for no limit. */
  bitsPerSecond: number
  /** Where the limit comes from, for the operator; undefined without one. */
  because?: string
}

const bitsOf = (megabits: number): number => megabits * 1_000_000

/** Settings of an installation that has none. */
export const noBandwidthSettings: BandwidthSettings = { sites: [] }

/** What is wrong with settings, in words; undefined when nothing is. */
export function bandwidthProblem({ calendar, sites }: BandwidthSettings): string | undefined {
  const names = sites.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) return `site ${twice} is named twice`
  const empty = sites.find(({ limitMbps }) => !(limitMbps > 0))
  if (empty !== undefined) return `site ${empty.name} has ${empty.limitMbps} Mbit/s, which moves nothing`
  return calendar === undefined ? undefined : calendarProblem(calendar)
}

/** What a server's own limit and the calendar allow at `at`, whatever its site has. Pure. */
export function ownAllowance(
  { replicationConfiguration, consistencyRequest }: SourceServer,
  settings: BandwidthSettings,
  at: Date,
): Allowance {
  const { bandwidthThrottlingMbps, bandwidthCalendar } = replicationConfiguration
  const calendar = bandwidthCalendar ?? settings.calendar
  const entry = calendar && entryAt(calendar, at)
  // Somebody launches a machine now: that is a later word than the calendar's, and it needs what has changed to be sent.
  const isWaitedFor = consistencyRequest?.state === 'REQUESTED'
  const isCalendars = entry !== undefined && !(entry.limit === 'OFF' && isWaitedFor)
  if (!isCalendars) {
    if (bandwidthThrottlingMbps === 0) return { isOff: false, bitsPerSecond: Infinity }
    const because = `the server's limit, ${limitInWords(bandwidthThrottlingMbps)}`
    return { isOff: false, bitsPerSecond: bitsOf(bandwidthThrottlingMbps), because }
  }
  const whose = bandwidthCalendar === undefined ? "the settings' calendar" : "the server's calendar"
  const because = `${whose}, ${limitInWords(entry.limit)} until ${entry.to} (${calendar?.timeZone})`
  if (entry.limit === 'OFF') return { isOff: true, bitsPerSecond: Infinity, because }
  if (entry.limit === 'UNLIMITED') return { isOff: false, bitsPerSecond: Infinity }
  return { isOff: false, bitsPerSecond: bitsOf(entry.limit), because }
}

/** `own` within the share of the site that fell to the server; undefined for none. Pure. */
export function withinShare(
  own: Allowance,
  share: number | undefined,
  siteName: string | undefined,
): Allowance {
  if (share === undefined || own.isOff || own.bitsPerSecond <= share) return own
  return { isOff: false, bitsPerSecond: share, because: `the share of site ${siteName ?? ''}` }
}

/** The site of `server`, if its name is that of one. */
export function siteOf(server: SourceServer, { sites }: BandwidthSettings): Site | undefined {
  const { site } = server.replicationConfiguration
  return site === undefined ? undefined : sites.find(({ name }) => name === site)
}
