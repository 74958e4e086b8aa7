/**
 * Moments on the clocks of a time zone.
 * @module
 */

const formatters = new Map<string, Intl.DateTimeFormat>()

/** @throws RangeError for a time zone that there is not. */
function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
  formatters.set(timeZone, made)
  return made
}

/** The name that all spellings of one time zone share: `Asia/Tokyo` of `Japan`. @throws RangeError for one that there is not. */
export function canonicalTimeZone(timeZone: string): string {
  return formatterOf(timeZone).resolvedOptions().timeZone
}

/**
 * `2025-02-10T21:51:42.303000+09:00` of an ISO time. Microseconds are left out when there are none, as Python's `isoformat` does: scripts
 * compare such texts.
 * @throws RangeError for a time zone that there is not.
 */
export function zonedTime(iso: string, timeZone: string): string {
  const at = new Date(iso)
  const parts = formatterOf(timeZone).formatToParts(at)
  const name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? ''
  const [, sign = '+', hours = '00', minutes = '00'] = /([+-])(\d\d):(\d\d)/.exec(name) ?? []
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -60_000 : 60_000)
  const local = new Date(at.getTime() + offsetMs).toISOString()
  const fraction = at.getUTCMilliseconds() === 0 ? '' : `${local.slice(19, 23)}000`
  return `${local.slice(0, 19)}${fraction}${sign}${hours}:${minutes}`
}
