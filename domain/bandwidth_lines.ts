/**
 * A bandwidth calendar as people write it, an entry a line: `Mon-Fri 08:00-18:00 20`.
 * @module
 */
import type { BandwidthLimit, CalendarEntry, Weekday } from './bandwidth_calendar.ts'
import { weekdays } from './bandwidth_calendar.ts'

const words = { UNLIMITED: 'unlimited', OFF: 'off' } as const

function dayName(day: Weekday): string {
  return day.slice(0, 1) + day.slice(1).toLowerCase()
}

/** `Mon-Fri`, `Sat,Sun`, `Mon-Wed,Fri`: three days or more in a row are joined. */
function writeDays(days: readonly Weekday[]): string {
  const positions = days.map((day) => weekdays.indexOf(day)).sort((one, other) => one - other)
  const runs: Weekday[][] = []
  for (const position of positions) {
    const day = weekdays[position]
    const run = runs.at(-1)
    const last = run?.at(-1)
    if (day === undefined) continue
    if (run !== undefined && last !== undefined && weekdays.indexOf(last) === position - 1) run.push(day)
    else runs.push([day])
  }
  return runs
    .map((run) => {
      const [first = 'MON'] = run
      return run.length < 3 ? run.map(dayName).join(',') : `${dayName(first)}-${dayName(run.at(-1) ?? first)}`
    })
    .join(',')
}

/** `20 Mbit/s`, `unlimited`, `off`. */
export function limitInWords(limit: BandwidthLimit): string {
  return typeof limit === 'number' ? `${limit} Mbit/s` : words[limit]
}

/** An entry as one line. */
export function writeCalendarEntry(entry: CalendarEntry): string {
  const limit = typeof entry.limit === 'number' ? String(entry.limit) : words[entry.limit]
  return `${writeDays(entry.weekdays)} ${entry.from}-${entry.to} ${limit}`
}

function readDay(text: string): Weekday | undefined {
  return weekdays.find((day) => day === text.slice(0, 3).toUpperCase())
}

/** Days from one to another, over the end of the week if need be. */
function readDays(text: string): Weekday[] | undefined {
  const days: Weekday[] = []
  for (const part of text.split(',')) {
    const [first, last, ...more] = part.split('-').map(readDay)
    if (first === undefined || more.length > 0 || (part.includes('-') && last === undefined)) return undefined
    const begin = weekdays.indexOf(first)
    const length = last === undefined ? 1 : ((weekdays.indexOf(last) - begin + 7) % 7) + 1
    for (let index = 0; index < length; index++) {
      const day = weekdays[(begin + index) % 7]
      if (day !== undefined) days.push(day)
    }
  }
  return days
}

function readLimit(text: string): BandwidthLimit | undefined {
  const word = text.toLowerCase()
  if (word === words.OFF) return 'OFF'
  if (word === words.UNLIMITED) return 'UNLIMITED'
  return /^\d+(\.\d+)?$/.test(word) ? Number(word) : undefined
}

/** The entry that a line means; undefined for a line that means none. What is wrong with its times a calendar's problem says. */
export function readCalendarEntry(line: string): CalendarEntry | undefined {
  const match = /^([A-Za-z,-]+)\s+(\d\d?:\d\d)\s*[-–]\s*(\d\d?:\d\d)\s+(\S+)(?:\s*Mbit\/s)?$/.exec(
    line.trim(),
  )
  const days = readDays(match?.[1] ?? '')
  const limit = readLimit(match?.[4] ?? '')
  if (match === null || days === undefined || limit === undefined) return undefined
  const time = (text = ''): string => text.padStart(5, '0')
  return { weekdays: days, from: time(match[2]), to: time(match[3]), limit }
}
