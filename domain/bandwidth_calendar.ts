/**
 * A weekly calendar of how fast blocks may be sent, in the wall clock time of one place. Where the clocks change, an entry follows them: a time that
 * is left out does not come that day, one that comes twice counts twice.
 * @module
 */

/** Days of the week, the first one first. */
export const weekdays = ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN'] as const
export type Weekday = (typeof weekdays)[number]

/** Megabits a second; as fast as can be; nothing at all. */
export type BandwidthLimit = number | 'UNLIMITED' | 'OFF'

/** On these days from one time to another; with `to` at or before `from` it ends on the next day. */
export interface CalendarEntry {
  weekdays: readonly Weekday[]
  /** `HH:MM`, 00:00 to 23:59. */
  from: string
  /** `HH:MM`, 00:01 to 24:00. */
  to: string
  limit: BandwidthLimit
}

/** A week. Times without an entry have no limit of the calendar's. One time zone for all, or nobody could say which entries overlap. */
export interface BandwidthCalendar {
  /** As IANA names it: `Europe/Berlin`. */
  timeZone: string
  entries: readonly CalendarEntry[]
}

const dayMinutes = 24 * 60
const weekMinutes = 7 * dayMinutes

/** Making one takes longer than using it a thousand times, and every heartbeat asks. */
const formatters = new Map<string, Intl.DateTimeFormat>()

/** @throws RangeError for a time zone that there is not. */
function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
  formatters.set(timeZone, made)
  return made
}

/** Whether there is such a time zone. */
export function isTimeZone(timeZone: string): boolean {
  try {
    formatterOf(timeZone)
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** Minutes since Monday 00:00 on the clocks of `timeZone`. */
function minuteOfWeek(timeZone: string, at: Date): number {
  const parts = formatterOf(timeZone).formatToParts(at)
  const part = (type: string): string => parts.find((candidate) => candidate.type === type)?.value ?? ''
  const day = weekdays.findIndex((weekday) => weekday === part('weekday').toUpperCase())
  return day * dayMinutes + Number(part('hour')) * 60 + Number(part('minute'))
}

function minuteOfDay(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3))
}

/** An entry's times, in minutes of the week; the end may lie in the next week. */
function spansOf(entry: CalendarEntry): { begin: number; end: number }[] {
  const from = minuteOfDay(entry.from)
  const to = minuteOfDay(entry.to)
  const length = to > from ? to - from : to + dayMinutes - from
  return entry.weekdays.map((weekday) => {
    const begin = weekdays.indexOf(weekday) * dayMinutes + from
    return { begin, end: begin + length }
  })
}

function isInside(minute: number, { begin, end }: { begin: number; end: number }): boolean {
  return (minute >= begin && minute < end) || minute + weekMinutes < end
}

/** The entry that holds `at`; undefined when none does. */
export function entryAt(calendar: BandwidthCalendar, at: Date): CalendarEntry | undefined {
  if (calendar.entries.length === 0) return undefined
  const minute = minuteOfWeek(calendar.timeZone, at)
  return calendar.entries.find((entry) => spansOf(entry).some((span) => isInside(minute, span)))
}

/** `Mon–Fri 08:00–18:00`: an entry as a problem names it. */
function nameOf({ weekdays: days, from, to }: CalendarEntry): string {
  return `${days.join(',')} ${from}-${to}`
}

function entryProblem(entry: CalendarEntry): string | undefined {
  const { weekdays: days, from, to, limit } = entry
  if (days.length === 0) return 'an entry of the calendar names no day'
  if (new Set(days).size < days.length) return `${nameOf(entry)} names a day twice`
  if (!/^([01]\d|2[0-3]):[0-5]\d$/.test(from)) return `${from} is no time from 00:00 to 23:59`
  if (!/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/.test(to)) return `${to} is no time from 00:00 to 24:00`
  if (from === to) return `${nameOf(entry)} has no length; a whole day is 00:00-24:00`
  if (typeof limit === 'number' && !(limit > 0)) return `${limit} Mbit/s moves nothing; write off for that`
  return undefined
}

/** What is wrong with a calendar, in words; undefined when nothing is. Entries that overlap are refused: neither could be said to hold. */
export function calendarProblem(calendar: BandwidthCalendar): string | undefined {
  if (!isTimeZone(calendar.timeZone)) return `there is no time zone ${calendar.timeZone}`
  for (const entry of calendar.entries) {
    const problem = entryProblem(entry)
    if (problem !== undefined) return problem
  }
  const spans = calendar.entries.flatMap((entry) => spansOf(entry).map((span) => ({ entry, ...span })))
  spans.sort((one, other) => one.begin - other.begin)
  const [first] = spans
  for (const [index, span] of spans.entries()) {
    const next = spans[index + 1] ?? (first && { ...first, begin: first.begin + weekMinutes })
    if (next !== undefined && next.begin < span.end)
      return `${nameOf(span.entry)} and ${nameOf(next.entry)} overlap`
  }
  return undefined
}
