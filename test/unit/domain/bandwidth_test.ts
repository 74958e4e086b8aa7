import { describe, expect, it } from 'vitest'
import type { BandwidthCalendar, CalendarEntry } from '../../../domain/bandwidth_calendar.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { bandwidthProblem, ownAllowance, siteOf, withinShare } from '../../../domain/bandwidth.ts'
import { calendarProblem, entryAt, weekdays } from '../../../domain/bandwidth_calendar.ts'
import { readCalendarEntry, writeCalendarEntry } from '../../../domain/bandwidth_lines.ts'
import { seededRandom, seedFor } from '../../fixtures/seed.ts'
import { testServer } from '../../fixtures/source_server.ts'

function entry(line: string): CalendarEntry {
  const read = readCalendarEntry(line)
  if (read === undefined) throw new Error(`No entry: ${line}`)
  return read
}

function calendar(timeZone: string, ...lines: string[]): BandwidthCalendar {
  return { timeZone, entries: lines.map(entry) }
}

const limitAt = (week: BandwidthCalendar, iso: string) => entryAt(week, new Date(iso))?.limit

describe('entryAt()', () => {
  // 2 March 2026 is a Monday.
  const office = calendar(
    'Europe/Berlin',
    'Mon-Fri 08:00-18:00 20',
    'Sat 22:00-06:00 off',
    'Sun 22:00-02:00 5',
  )

  it.each([
    ['a minute before', '2026-03-02T06:59:59Z', undefined],
    ['at its begin', '2026-03-02T07:00:00Z', 20],
    ['in its last second', '2026-03-02T16:59:59Z', 20],
    ['at its end', '2026-03-02T17:00:00Z', undefined],
    ['on a day without', '2026-03-07T10:00:00Z', undefined],
    ['before midnight', '2026-03-07T22:30:00Z', 'OFF'],
    ['after midnight, on the next day', '2026-03-08T04:59:00Z', 'OFF'],
    ['at the end of the night', '2026-03-08T05:00:00Z', undefined],
    ['over the end of the week', '2026-03-09T00:30:00Z', 5],
    ['at the end of that', '2026-03-09T01:00:00Z', undefined],
  ] as const)('knows the entry %s', (_, iso, expected) => {
    expect(limitAt(office, iso)).toBe(expected)
  })

  it('follows the clocks of its place when they change', () => {
    const night = calendar('Europe/Berlin', 'Sun 02:00-03:00 1', 'Sun 03:00-04:00 2')
    // On 29 March 2026 the clocks go from 02:00 to 03:00: the first entry does not come.
    expect(limitAt(night, '2026-03-29T00:59:59Z')).toBeUndefined()
    expect(limitAt(night, '2026-03-29T01:00:00Z')).toBe(2)
    expect(limitAt(night, '2026-03-29T02:00:00Z')).toBeUndefined()
    // On 25 October the hour from 02:00 comes twice.
    expect(limitAt(night, '2026-10-25T00:30:00Z')).toBe(1)
    expect(limitAt(night, '2026-10-25T01:30:00Z')).toBe(1)
    expect(limitAt(night, '2026-10-25T02:30:00Z')).toBe(2)
  })

  it('knows whole days, and zones with a part of an hour', () => {
    const always = calendar('Asia/Kolkata', 'Mon-Sun 00:00-24:00 7')
    expect(calendarProblem(always)).toBeUndefined()
    for (let hour = 0; hour < 168; hour++)
      expect(entryAt(always, new Date(Date.parse('2026-03-02T00:00:00Z') + hour * 3_600_000))?.limit).toBe(7)
    const morning = calendar('Asia/Kolkata', 'Mon 05:30-06:00 3')
    expect(limitAt(morning, '2026-03-02T00:00:00Z')).toBe(3)
    expect(limitAt(morning, '2026-03-02T00:30:00Z')).toBeUndefined()
  })
})

describe('calendarProblem()', () => {
  it.each([
    ['two at the same time', ['Mon-Fri 08:00-18:00 20', 'Fri 17:59-19:00 off'], 'overlap'],
    ['one after midnight and the next day’s', ['Mon 22:00-06:00 20', 'Tue 05:00-07:00 off'], 'overlap'],
    ['one over the end of the week', ['Sun 22:00-06:00 20', 'Mon 05:59-07:00 off'], 'overlap'],
    ['no length', ['Mon 08:00-08:00 20'], 'has no length'],
    ['no such time', ['Mon 08:00-25:00 20'], 'is no time'],
    ['a day twice', ['Mon,Mon 08:00-09:00 20'], 'twice'],
    ['no speed', ['Mon 08:00-09:00 0'], 'moves nothing'],
  ])('refuses %s', (_, lines, problem) => {
    expect(calendarProblem(calendar('UTC', ...lines))).toContain(problem)
  })

  it('takes entries that meet, and refuses unknown places', () => {
    const meeting = ['Mon-Fri 08:00-18:00 20', 'Mon-Fri 18:00-08:00 unlimited', 'Sun 22:00-24:00 off']
    expect(calendarProblem(calendar('UTC', ...meeting))).toBeUndefined()
    expect(calendarProblem(calendar('Europe/Atlantis', 'Mon 08:00-09:00 1'))).toContain('Europe/Atlantis')
    expect(calendarProblem(calendar('UTC', 'Sun 12:00-11:59 1'))).toBeUndefined()
  })

  it('finds an overlap exactly where some minute has two entries', () => {
    const seed = seedFor('calendar')
    const random = seededRandom(seed)
    const below = (limit: number) => Math.floor(random() * limit)
    const time = (minute: number) =>
      `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
    for (let round = 0; round < 300; round++) {
      const entries = Array.from({ length: 1 + below(4) }, () => ({
        weekdays: weekdays.filter(() => below(4) === 0).slice(0, 3),
        from: time(below(48) * 30),
        to: time(below(48) * 30),
        limit: 1 + below(9),
      })).filter(({ weekdays: days, from, to }) => days.length > 0 && from !== to)
      const covered = new Map<number, number>()
      const monday = Date.parse('2026-03-02T00:00:00Z')
      for (const one of entries)
        for (let half = 0; half < 336; half++)
          if (entryAt({ timeZone: 'UTC', entries: [one] }, new Date(monday + half * 1_800_000)) !== undefined)
            covered.set(half, (covered.get(half) ?? 0) + 1)
      const isTwice = [...covered.values()].some((count) => count > 1)
      const problem = calendarProblem({ timeZone: 'UTC', entries })
      expect(problem?.endsWith('overlap') ?? false, `seed ${seed}, round ${round}`).toBe(isTwice)
    }
  })
})

describe('calendar lines', () => {
  it.each([
    'Mon-Fri 08:00-18:00 20',
    'Sat,Sun 00:00-24:00 unlimited',
    'Mon-Wed,Fri 22:00-06:00 off',
    'Sun 01:00-02:00 0.5',
  ])('come back as they were written: %s', (line) => expect(writeCalendarEntry(entry(line))).toBe(line))

  it('are read generously, and refused where they mean nothing', () => {
    expect(entry('fri-mon  8:00 - 9:30  OFF').weekdays).toEqual(['FRI', 'SAT', 'SUN', 'MON'])
    expect(entry('monday 8:00-9:30 20').from).toBe('08:00')
    for (const line of [
      '',
      'Mon',
      'Mon 8-9 20',
      'Xyz 08:00-09:00 20',
      'Mon 08:00-09:00 fast',
      'Mon- 08:00-09:00 2',
    ])
      expect(readCalendarEntry(line)).toBeUndefined()
  })
})

describe('ownAllowance()', () => {
  const at = new Date('2026-03-02T10:00:00Z')
  const serverWith = (
    configuration: Partial<SourceServer['replicationConfiguration']>,
    rest: Partial<SourceServer> = {},
  ): SourceServer => {
    const server = testServer('READY_FOR_TEST', 'CONTINUOUS', rest)
    return { ...server, replicationConfiguration: { ...server.replicationConfiguration, ...configuration } }
  }
  const off = calendar('UTC', 'Mon 09:00-12:00 off')
  const slow = calendar('UTC', 'Mon 09:00-12:00 3')

  it('is without limit where nothing says otherwise, and the server’s own limit where that is all', () => {
    expect(ownAllowance(serverWith({}), { sites: [] }, at)).toEqual({ isOff: false, bitsPerSecond: Infinity })
    const own = ownAllowance(serverWith({ bandwidthThrottlingMbps: 8 }), { sites: [] }, at)
    expect(own).toMatchObject({ bitsPerSecond: 8_000_000, because: expect.stringContaining('8 Mbit/s') })
  })

  it('prefers the calendar to the limit, and the server’s calendar to that of the settings', () => {
    const settings = { sites: [], calendar: slow }
    expect(ownAllowance(serverWith({ bandwidthThrottlingMbps: 8 }), settings, at).bitsPerSecond).toBe(3e6)
    expect(ownAllowance(serverWith({ bandwidthCalendar: off }), settings, at).isOff).toBe(true)
    const later = new Date('2026-03-02T12:00:00Z')
    expect(ownAllowance(serverWith({ bandwidthThrottlingMbps: 8 }), settings, later).bitsPerSecond).toBe(8e6)
  })

  it('lets the blocks of a launch go while the calendar would send nothing', () => {
    const consistencyRequest = {
      consistencyPointId: 'cp-00000000000000001',
      state: 'REQUESTED',
      requestedAt: at.toISOString(),
      expiresAt: at.toISOString(),
    } as SourceServer['consistencyRequest'] & object
    const launching = serverWith(
      { bandwidthCalendar: off, bandwidthThrottlingMbps: 9 },
      { consistencyRequest },
    )
    expect(ownAllowance(launching, { sites: [] }, at)).toMatchObject({ isOff: false, bitsPerSecond: 9e6 })
  })

  it('is bounded by the share of the site', () => {
    const free = { isOff: false, bitsPerSecond: Infinity }
    expect(withinShare(free, 5, 'berlin')).toEqual({
      isOff: false,
      bitsPerSecond: 5,
      because: 'the share of site berlin',
    })
    expect(withinShare({ ...free, bitsPerSecond: 4 }, 5, 'berlin').bitsPerSecond).toBe(4)
    expect(withinShare({ ...free, isOff: true }, 5, 'berlin').isOff).toBe(true)
    const berlin = { name: 'berlin', limitMbps: 10 }
    expect(siteOf(serverWith({ site: 'berlin' }), { sites: [berlin] })).toBe(berlin)
    expect(siteOf(serverWith({ site: 'gone' }), { sites: [berlin] })).toBeUndefined()
  })

  it('refuses settings that name a site twice or give it nothing', () => {
    expect(
      bandwidthProblem({
        sites: [
          { name: 'a', limitMbps: 1 },
          { name: 'a', limitMbps: 2 },
        ],
      }),
    ).toContain('twice')
    expect(bandwidthProblem({ sites: [{ name: 'a', limitMbps: 0 }] })).toContain('moves nothing')
    expect(bandwidthProblem({ sites: [], calendar: slow })).toBeUndefined()
  })
})
