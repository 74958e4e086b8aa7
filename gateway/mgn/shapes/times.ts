/**
 * Times and durations as MGN writes them: with microseconds and `+00:00`, and as ISO 8601 durations.
 * @module
 */

/** `2025-02-10T03:47:06.511000+00:00` of an ISO time. */
export function mgnTime(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, -1)}000+00:00`
}

/** The same where there is one. */
export function mgnTimeOf<Name extends string>(
  name: Name,
  iso: string | undefined,
): { [Key in Name]?: string } {
  return (iso === undefined ? {} : { [name]: mgnTime(iso) }) as { [Key in Name]?: string }
}

/** `P0D` for nothing, otherwise such as `P1DT2H3M4.567S`. */
export function mgnDuration(milliseconds: number): string {
  const total = Math.max(0, Math.round(milliseconds))
  if (total === 0) return 'P0D'
  const days = Math.floor(total / 86_400_000)
  const hours = Math.floor(total / 3_600_000) % 24
  const minutes = Math.floor(total / 60_000) % 60
  const seconds = (total % 60_000) / 1000
  const time = [
    hours > 0 ? `${hours}H` : '',
    minutes > 0 ? `${minutes}M` : '',
    seconds > 0 ? `${seconds}S` : '',
  ].join('')
  return `P${days > 0 ? `${days}D` : ''}${time === '' ? '' : `T${time}`}`
}
