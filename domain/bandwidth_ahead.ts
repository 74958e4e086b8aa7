/**
 * What a server may send in the week to come, as far as settings tell: its limit, the calendar, its share of the site. Pure.
 * @module
 */
import type { BandwidthSettings } from './bandwidth.ts'
import type { SourceServer } from './source_server.ts'
import { ownAllowance, siteOf } from './bandwidth.ts'
import { defaultPriority, divideBudget } from './site_budget.ts'

/** Calendars are written in minutes; a quarter of an hour is fine enough for a forecast. */
export const partSeconds = 900
const partsOfWeek = (7 * 86_400) / partSeconds

/** Bytes a second that limits let through: always the same, or by quarters of an hour of a week that repeats. Infinite for no limit. */
export type LimitAhead = number | readonly number[]

/** What `server` may send from `from` on, while `others` of its site are copied as well. */
export function limitAhead(
  server: SourceServer,
  settings: BandwidthSettings,
  others: readonly SourceServer[],
  from: Date,
): LimitAhead {
  const share = shareOf(server, settings, others)
  // What waits for a launch sends whatever the calendar says; a first copy waits for none.
  const { consistencyRequest: _none, ...copied } = server
  const allowedAt = (at: Date): number => {
    const { isOff, bitsPerSecond } = ownAllowance(copied, settings, at)
    return isOff ? 0 : Math.min(bitsPerSecond, share) / 8
  }
  if ((server.replicationConfiguration.bandwidthCalendar ?? settings.calendar) === undefined)
    return allowedAt(from)
  return Array.from({ length: partsOfWeek }, (_, part) =>
    allowedAt(new Date(from.getTime() + part * partSeconds * 1000)),
  )
}

/** Bits a second of the site for each while all are copied as fast as they can. */
function shareOf(server: SourceServer, settings: BandwidthSettings, others: readonly SourceServer[]): number {
  const site = siteOf(server, settings)
  if (site === undefined) return Infinity
  const copied = others.filter(
    ({ sourceServerId, lifecycle, replicationConfiguration }) =>
      sourceServerId !== server.sourceServerId &&
      lifecycle.state === 'NOT_READY' &&
      replicationConfiguration.site === site.name,
  )
  const members = [server, ...copied].map(({ sourceServerId, replicationConfiguration }) => ({
    id: sourceServerId,
    priority: replicationConfiguration.priority ?? defaultPriority,
    wants: Infinity,
    atMost: Infinity,
  }))
  return divideBudget(site.limitMbps * 1_000_000, members).get(server.sourceServerId) ?? Infinity
}

/** Bytes a second over a whole week. */
export function meanOf(limit: LimitAhead, paceOf: (limitBytesPerSecond: number) => number): number {
  if (typeof limit === 'number') return paceOf(limit)
  return limit.reduce((sum, part) => sum + paceOf(part), 0) / limit.length
}

/**
 * Seconds until `bytes` are copied at what a limit leaves when what changes is taken off it, which may be below zero; infinite when they never are. What
 * changes before it is copied is no more to copy than it was.
 */
export function secondsToCopy(
  bytes: number,
  limit: LimitAhead,
  gainOf: (limitBytesPerSecond: number) => number,
): number {
  if (typeof limit === 'number') {
    const gain = gainOf(limit)
    return gain > 0 ? bytes / gain : Infinity
  }
  const gains = limit.map((part) => gainOf(part) * partSeconds)
  const weekSeconds = gains.length * partSeconds
  const first = copyForAWeek(bytes, bytes, gains)
  if (first.endedAfter !== undefined) return first.endedAfter
  let sum = 0
  let highest = 0
  for (const gain of gains) {
    sum += gain
    highest = Math.max(highest, sum)
  }
  // After the first week each begins with less by the same: whole weeks at once, up to the one in which the highest point is enough.
  const weeks = first.left <= highest ? 0 : sum > 0 ? Math.ceil((first.left - highest) / sum) : Infinity
  if (weeks === Infinity) return Infinity
  const last = copyForAWeek(first.left - weeks * sum, bytes, gains)
  return (1 + weeks) * weekSeconds + (last.endedAfter ?? weekSeconds)
}

/** A week that begins with `left` of `bytes` to copy: when it ended, or what is left then. */
function copyForAWeek(
  left: number,
  bytes: number,
  gains: readonly number[],
): { endedAfter: number; left?: never } | { endedAfter?: never; left: number } {
  let rest = left
  for (const [part, gain] of gains.entries()) {
    if (gain > 0 && rest <= gain) return { endedAfter: (part + rest / gain) * partSeconds }
    rest = Math.min(bytes, rest - gain)
  }
  return { left: rest }
}
