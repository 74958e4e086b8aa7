/**
 * Numbers and times as people read them. Times are given in UTC and, on the page, also in words.
 * @module
 */
import type { DiskUsage } from '../domain/source_server.ts'
import type { Html } from './html.ts'
import { html } from './html.ts'

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** `434 MB`, `1.5 GB`: decimal units, three digits at most. */
export function bytes(count: number): string {
  let value = Math.max(0, count)
  let unit = 0
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1000
    unit++
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${Number(value.toFixed(digits))} ${byteUnits[unit] ?? ''}`
}

/** `11.8 GB used` of a disk of `sizeBytes`; `11.8 GB of 20 GB used` where the rest of it is in no mounted file system. */
export function usage({ usedBytes, fileSystemBytes }: DiskUsage, sizeBytes: number): string {
  // File systems show less than their device has, by what they keep for themselves.
  const isAlmostAll = fileSystemBytes >= 0.9 * sizeBytes
  return `${bytes(usedBytes)}${isAlmostAll ? '' : ` of ${bytes(fileSystemBytes)}`} used`
}

/** `16 GiB`: memory is made in powers of two. */
export function memory(count: number): string {
  const gibibytes = count / 2 ** 30
  return gibibytes >= 1 ? `${Number(gibibytes.toFixed(1))} GiB` : `${Math.round(count / 2 ** 20)} MiB`
}

/** `24.3 MB/s`. */
export function rate(bytesPerSecond: number): string {
  return `${bytes(bytesPerSecond)}/s`
}

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const pair = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`
  if (whole < 3600) return pair(Math.floor(whole / 60), 'min', whole % 60, 's')
  const minutes = Math.floor(whole / 60)
  if (minutes < 1440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
  const hours = Math.floor(minutes / 60)
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h')
}

/** A time to come as it is told: seconds of ten minutes would be false precision. */
export function estimate(milliseconds: number): string {
  return duration(milliseconds < 600_000 ? milliseconds : Math.round(milliseconds / 60_000) * 60_000)
}

/** `43 %`, `99.4 %`: rounded down, so that 100 means all. */
export function percent(share: number): string {
  const value = Math.max(0, Math.min(1, share)) * 100
  if (value === 100) return '100 %'
  return value >= 99 ? `${(Math.floor(value * 10) / 10).toFixed(1)} %` : `${Math.floor(value)} %`
}

/** `2026-03-01 14:05:09 UTC`. */
export function dateTime(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`
}

/** `just now`, `12 s ago`, `5 min ago`, `in 3 h`. The script of the page counts the same way. */
export function relative(iso: string, now: Date): string {
  const difference = now.getTime() - Date.parse(iso)
  const seconds = Math.floor(Math.abs(difference) / 1000)
  if (seconds < 3) return 'just now'
  const amount =
    seconds < 60
      ? `${seconds} s`
      : seconds < 3600
        ? `${Math.floor(seconds / 60)} min`
        : seconds < 86_400
          ? `${Math.floor(seconds / 3600)} h`
          : `${Math.floor(seconds / 86_400)} d`
  return difference >= 0 ? `${amount} ago` : `in ${amount}`
}

/** A moment: in words, exact on hover, and kept counting by the page's script. */
export function when(iso: string | undefined, now: Date, never = 'never'): Html {
  if (iso === undefined) return html`<span class="muted">${never}</span>`
  return html`<time datetime="${iso}" title="${dateTime(iso)}" data-relative>${relative(iso, now)}</time>`
}

/** A moment written out. */
export function moment(iso: string): Html {
  return html`<time datetime="${iso}">${dateTime(iso)}</time>`
}

/** `1 disk`, `3 disks`. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}`
}

/** A message as a sentence: it begins with a capital letter and has its full stop. */
export function sentence(message: string): string {
  const text = message.trim()
  return text.slice(0, 1).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) || text === '' ? '' : '.')
}
