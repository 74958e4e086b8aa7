/**
 * The bandwidth settings of the installation, as they are stored and as callers may set them, by form or by JSON.
 * @module
 */
import type { BandwidthSettings } from '../domain/bandwidth.ts'
import type { BandwidthCalendar } from '../domain/bandwidth_calendar.ts'
import type { Store, Versioned } from '../store/store.ts'
import type { VersionCheck } from './versions.ts'
import { z } from 'zod'
import { bandwidthProblem, noBandwidthSettings } from '../domain/bandwidth.ts'
import { calendarProblem, weekdays } from '../domain/bandwidth_calendar.ts'
import { readCalendarEntry } from '../domain/bandwidth_lines.ts'
import { InvalidInputError } from '../domain/errors.ts'
import { parseJson } from './request.ts'
import { saveSetting } from './installation.ts'

/** Megabits a second: a modem's line to a hundred thousand times a fast one. */
export const megabits = z.number().positive().max(1_000_000)

/** A site's name. */
export const siteName = z
  .string()
  .trim()
  .regex(/^\S{1,64}$/, 'a site has a name of 1 to 64 characters, without spaces')

const time = z.string().max(5)

/** A calendar; entries that overlap are refused. */
export const calendarSchema: z.ZodType<BandwidthCalendar> = z
  .strictObject({
    timeZone: z.string().min(1).max(64),
    entries: z
      .array(
        z.strictObject({
          weekdays: z.array(z.enum(weekdays)).min(1).max(7),
          from: time,
          to: time,
          limit: z.union([megabits, z.literal('UNLIMITED'), z.literal('OFF')]),
        }),
      )
      .max(100),
  })
  .superRefine((calendar, context) => {
    const problem = calendarProblem(calendar)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  })

/** The settings as a whole: what is left out is gone. */
export const bandwidthSettingsSchema = z
  .strictObject({
    calendar: calendarSchema.optional(),
    sites: z.array(z.strictObject({ name: siteName, limitMbps: megabits })).max(1000),
  })
  .superRefine(({ calendar, sites }, context) => {
    const problem = bandwidthProblem({ sites, ...(calendar === undefined ? {} : { calendar }) })
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  })
  .transform(({ calendar, sites }): BandwidthSettings => ({
    sites,
    ...(calendar === undefined ? {} : { calendar }),
  }))

const settingName = 'bandwidth'

/** The stored settings with their revision; none at 0 when nothing was ever saved. */
export async function readVersionedBandwidth(store: Store): Promise<Versioned<BandwidthSettings>> {
  const stored = await store.get('setting', { id: settingName })
  return stored === undefined
    ? { value: noBandwidthSettings, revision: 0 }
    : { value: bandwidthSettingsSchema.parse(parseJson(stored.value.value)), revision: stored.revision }
}

/** The stored settings; none when nothing was ever saved. */
export async function readBandwidthSettings(store: Store): Promise<BandwidthSettings> {
  return (await readVersionedBandwidth(store)).value
}

/** Stores the settings and answers with their revision. @throws whatever `check` throws. */
export function saveBandwidthSettings(
  store: Store,
  settings: BandwidthSettings,
  check?: VersionCheck,
): Promise<number> {
  return saveSetting(store, settingName, JSON.stringify(settings), check)
}

/** The calendar that a form's time zone and lines mean; undefined for no lines. @throws InvalidInputError. */
export function calendarOfForm(timeZone: string, text: string): BandwidthCalendar | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0) return undefined
  const entries = lines.map((line) => {
    const entry = readCalendarEntry(line)
    if (entry === undefined) {
      throw new InvalidInputError(
        'calendar',
        `Cannot read “${line.trim()}”: write days, times and Mbit/s, off or unlimited, like Mon-Fri 08:00-18:00 20`,
      )
    }
    return entry
  })
  const calendar = { timeZone: timeZone.trim(), entries }
  const problem = calendarProblem(calendar)
  if (problem !== undefined) throw new InvalidInputError('calendar', `Cannot use the calendar: ${problem}`)
  return calendar
}

/** The settings that the form means. @throws InvalidInputError. */
export function bandwidthSettingsOfForm(form: Record<string, string>): BandwidthSettings {
  const calendar = calendarOfForm(form['timeZone'] ?? '', form['calendar'] ?? '')
  const lines = (form['sites'] ?? '').split('\n').filter((line) => line.trim() !== '')
  const sites = lines.map((line) => {
    const [name, limit, ...more] = line.trim().split(/\s+/)
    return { name, limitMbps: more.length > 0 ? NaN : Number(limit) }
  })
  const read = bandwidthSettingsSchema.safeParse({ sites, ...(calendar === undefined ? {} : { calendar }) })
  if (read.success) return read.data
  const [issue] = read.error.issues
  const why =
    issue?.code === 'custom' ? issue.message : 'write a line for each, name and Mbit/s, like berlin 200'
  throw new InvalidInputError('sites', `Cannot read the sites: ${why}`, { cause: read.error })
}
