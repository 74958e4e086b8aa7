import { describe, expect, it } from 'vitest'
import {
  bytes,
  count,
  dateTime,
  duration,
  moment,
  percent,
  rate,
  relative,
  usage,
  when,
} from '../../../views/format.ts'

const now = new Date('2026-03-01T12:00:00.000Z')
const before = (seconds: number) => new Date(now.getTime() - seconds * 1000).toISOString()

describe('usage()', () => {
  it('says of how much it is known where that is not about the whole disk', () => {
    expect(usage({ usedBytes: 11.8e9, fileSystemBytes: 31e9 }, 32e9)).toBe('11.8 GB used')
    expect(usage({ usedBytes: 11.8e9, fileSystemBytes: 20e9 }, 32e9)).toBe('11.8 GB of 20 GB used')
  })
})

describe('bytes()', () => {
  it.each([
    [0, '0 B'],
    [-5, '0 B'],
    [999, '999 B'],
    [1000, '1 kB'],
    [1234, '1.23 kB'],
    [99_960, '100 kB'],
    [434_200_000, '434 MB'],
    [3_221_225_472, '3.22 GB'],
    [9e15, '9 PB'],
    [5e18, '5000 PB'],
  ])('%d', (value, expected) => {
    expect(bytes(value)).toBe(expected)
  })

  it('is the same with a rate', () => {
    expect(rate(84_000_000)).toBe('84 MB/s')
  })
})

describe('duration()', () => {
  it.each([
    [-1, '0.0 s'],
    [412, '0.4 s'],
    [9960, '10 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [200_000, '3 min 20 s'],
    [3_600_000, '1 h'],
    [7_500_000, '2 h 5 min'],
    [97 * 3_600_000, '4 d 1 h'],
  ])('%d', (milliseconds, expected) => {
    expect(duration(milliseconds)).toBe(expected)
  })
})

describe('percent()', () => {
  it.each([
    [0, '0 %'],
    [0.429, '42 %'],
    [0.9999, '99.9 %'],
    [1, '100 %'],
    [1.2, '100 %'],
    [-1, '0 %'],
  ])('%d is never more than is done', (share, expected) => {
    expect(percent(share)).toBe(expected)
  })
})

describe('times', () => {
  it.each([
    [0, 'just now'],
    [12, '12 s ago'],
    [125, '2 min ago'],
    [7300, '2 h ago'],
    [200_000, '2 d ago'],
    [-59, 'in 59 s'],
    [-3600, 'in 1 h'],
  ])('%d seconds ago', (seconds, expected) => {
    expect(relative(before(seconds), now)).toBe(expected)
  })

  it('carry the exact moment', () => {
    expect(when(before(12), now).toString()).toBe(
      '<time datetime="2026-03-01T11:59:48.000Z" title="2026-03-01 11:59:48 UTC" data-relative>12 s ago</time>',
    )
    expect(when(undefined, now, 'not <yet>').toString()).toBe('<span class="muted">not &lt;yet&gt;</span>')
    expect(moment(before(0)).toString()).toContain(dateTime(before(0)))
  })

  it('and amounts agree in number', () => {
    expect([count(1, 'disk'), count(2, 'disk'), count(0, 'entry', 'entries')]).toEqual([
      '1 disk',
      '2 disks',
      '0 entries',
    ])
  })
})
