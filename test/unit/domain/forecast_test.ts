import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CopyAhead, CopyForecast } from '../../../domain/initial_forecast.ts'
import { partSeconds, secondsToCopy } from '../../../domain/bandwidth_ahead.ts'
import { limitAhead } from '../../../domain/bandwidth_ahead.ts'
import { bytesOfMegabits, learnPace, pastCopies } from '../../../domain/copy_pace.ts'
import { forecastErrors } from '../../../domain/forecast_errors.ts'
import { forecastCopy } from '../../../domain/initial_forecast.ts'
import { logSpread } from '../../../domain/log_spread.ts'
import type { ReplicationRecord } from '../../../domain/replication_record.ts'
import { dice, trueCopies } from '../../fixtures/record_fleet.ts'
import { addedAt, later, testServer } from '../../fixtures/source_server.ts'

/** A record of a copy of `bytes` in `seconds`. */
function record(
  bytes: number,
  seconds: number,
  overrides: Partial<ReplicationRecord> = {},
): ReplicationRecord {
  return {
    sourceServerId: 's-1',
    hostname: 'web-1',
    replicationStartedAt: addedAt,
    readyForTestAt: later(seconds),
    replicatedStorageBytes: bytes,
    bandwidthThrottlingMbps: 0,
    replicationServerInstanceType: 'local',
    ...overrides,
  }
}

const ahead = (overrides: Partial<CopyAhead> = {}): CopyAhead => ({
  bytes: 100e9,
  instanceType: 'local',
  limit: Infinity,
  ...overrides,
})

function expected(forecast: CopyForecast): CopyForecast & { state: 'EXPECTED' } {
  if (forecast.state !== 'EXPECTED') throw new Error(`Not expected: ${forecast.because}`)
  return forecast
}

/** Twelve copies at about 50 MB/s of disks, half of it sent. */
const history = pastCopies(
  Array.from({ length: 12 }, (_, index) => {
    const bytes = (10 + index) * 1e9
    return record(bytes, (bytes / 50e6) * (1 + (index % 3) / 20), { wireBytes: bytes / 2 })
  }),
)

describe('forecastCopy()', () => {
  it('says nothing without a record', () => {
    expect(forecastCopy(ahead(), [])).toEqual({
      state: 'UNKNOWN',
      because: 'No initial replication is recorded yet, so nothing tells how fast the link is',
    })
  })

  it('is the size over the pace of what was copied, with its basis', () => {
    const forecast = expected(forecastCopy(ahead(), history))
    // 100 GB at 50 MB/s, a twentieth slower, are 35 minutes.
    expect(forecast.expectedMinutes).toBeGreaterThanOrEqual(34)
    expect(forecast.expectedMinutes).toBeLessThanOrEqual(36)
    expect(forecast.basis).toMatchObject({ records: 12, likeRecords: 12, heldBackBy: 'LINK' })
    expect(forecast.basis.words).toMatch(/^from 12 records; copies here go at about 4\d\.\d MB\/s$/)
    expect(forecast.coveragePercent).toBe(80)
  })

  it('under a limit counts what has to be sent, not what there is', () => {
    const forecast = expected(forecastCopy(ahead({ limit: bytesOfMegabits(100) }), history))
    // 50 GB at 95 % of 12.5 MB/s.
    expect(forecast.expectedMinutes).toBeGreaterThanOrEqual(69)
    expect(forecast.expectedMinutes).toBeLessThanOrEqual(72)
    expect(forecast.basis).toMatchObject({ heldBackBy: 'LIMIT', limitBytesPerSecond: 12_500_000 })
    expect(forecast.basis.words).toContain('the limit of its bandwidth holds it back')
  })

  it('takes all as sent where no record tells how much is', () => {
    const theirs = history.map(({ wireBytes: _none, ...copy }) => copy)
    const forecast = expected(forecastCopy(ahead({ limit: bytesOfMegabits(100) }), theirs))
    expect(forecast.expectedMinutes).toBeGreaterThan(130)
    expect(forecast.basis.words).toContain('no record tells how much of a disk has to be sent')
  })

  it('learns from a copy that its limit held back that the link carries at least so much', () => {
    const throttled = Array.from({ length: 20 }, (_, index) =>
      record(20e9, (20e9 * (1 + (index % 3) / 50)) / 10e6, { bandwidthThrottlingMbps: 80, wireBytes: 19e9 }),
    )
    const free = expected(forecastCopy(ahead(), [...history, ...pastCopies(throttled)]))
    expect(free.basis.linkBytesPerSecond).toBeGreaterThan(40e6)
    // With nothing but such copies it says what is sure.
    const bound = expected(forecastCopy(ahead(), pastCopies(throttled)))
    expect(bound.basis.linkBytesPerSecond).toBeLessThan(11e6)
  })

  it('tells the types of replication servers apart, and says when it has none of the kind', () => {
    const fast = history.map((copy) => ({ ...copy, seconds: copy.seconds / 4, instanceType: 'm5.large' }))
    const both = [...history, ...fast]
    const slow = expected(forecastCopy(ahead(), both))
    const quick = expected(forecastCopy(ahead({ instanceType: 'm5.large' }), both))
    expect(quick.expectedMinutes).toBeLessThan(slow.expectedMinutes / 1.5)
    expect(quick.basis).toMatchObject({ records: 24, likeRecords: 12 })
    const unlike = expected(forecastCopy(ahead({ instanceType: 'c5.xlarge' }), history))
    expect(unlike.basis.words).toContain('none of them with a replication server of type c5.xlarge')
  })

  it('has a wide interval from one record, and says so', () => {
    const forecast = expected(forecastCopy(ahead(), history.slice(0, 1)))
    expect(forecast.lowMinutes).toBeLessThan(forecast.expectedMinutes / 3)
    expect(forecast.highMinutes).toBeGreaterThan(forecast.expectedMinutes * 3)
    expect(forecast.basis.words).toContain(
      'so few records make a wide interval that is little more than a guess',
    )
  })

  it('is longer for what changes, and says that a copy that changes faster than it is copied never ends', () => {
    const still = expected(forecastCopy(ahead({ changedBytesPerSecond: 0 }), history))
    const busy = expected(forecastCopy(ahead({ changedBytesPerSecond: 20e6 }), history))
    expect(busy.expectedMinutes / still.expectedMinutes).toBeGreaterThan(1.5)
    const never = forecastCopy(ahead({ changedBytesPerSecond: 80e6 }), history)
    expect(never).toMatchObject({ state: 'NEVER', basis: { changedBytesPerSecond: 80e6 } })
    expect(never.state === 'NEVER' && never.because).toMatch(
      /^Blocks change at 80\.0 MB\/s, and the link carries about 4\d\.\d MB\/s: give it more bandwidth/,
    )
    const throttled = ahead({ changedBytesPerSecond: 30e6, limit: bytesOfMegabits(100) })
    expect(forecastCopy(throttled, history)).toMatchObject({
      state: 'NEVER',
      because: expect.stringContaining('its limit lets less than that through'),
    })
  })

  it('has no slow end where the copy may never end', () => {
    const forecast = expected(forecastCopy(ahead({ changedBytesPerSecond: 40e6 }), history))
    expect(forecast).not.toHaveProperty('highMinutes')
  })

  const seed = Number(process.env['FORECAST_SEED'] ?? Date.now() % 2 ** 31)
  const amount = fc.double({ min: 1, max: 1e15, noNaN: true })
  const limits = fc.oneof(fc.constant(Infinity), fc.double({ min: 1e3, max: 1e10, noNaN: true }))
  const histories = fc
    .record({ seed: fc.nat(), count: fc.integer({ min: 1, max: 40 }) })
    .map(({ seed: own, count }) =>
      pastCopies(
        trueCopies(
          dice(own),
          {
            linkOf: { local: 40e6, 't3.small': 10e6 },
            linkWidth: 0.5,
            limitsMbps: [0, 20, 200],
            sentShare: 0.5,
            sentWidth: 0.4,
            changedBytesPerSecond: 3e6,
          },
          count,
        ).map((copy) => copy.record),
      ),
    )
  const changes = fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }), { nil: undefined })
  const aheadOf = (bytes: number, limit: number, change: number | undefined): CopyAhead =>
    ahead({ bytes, limit, ...(change === undefined ? {} : { changedBytesPerSecond: change }) })

  /** Fast, middle and slow end; infinite for never. */
  function times(forecast: CopyForecast): number[] {
    if (forecast.state === 'UNKNOWN') throw new Error(forecast.because)
    if (forecast.state === 'NEVER') return [Infinity, Infinity, Infinity]
    const { lowMinutes, expectedMinutes, highMinutes = Infinity } = forecast
    return [lowMinutes, expectedMinutes, highMinutes]
  }

  it(`is never shorter for more bytes, more changes or a tighter limit, seed ${seed}`, () => {
    fc.assert(
      fc.property(
        histories,
        amount,
        amount,
        limits,
        limits,
        changes,
        (copies, one, other, loose, tight, change) => {
          const [less, more] = [Math.min(one, other), Math.max(one, other)]
          const [high, low] = [Math.max(loose, tight), Math.min(loose, tight)]
          // `NEVER` is of the middle: its fast end is not told.
          const middle = (of: CopyAhead): number => times(forecastCopy(of, copies))[1] ?? NaN
          const here = middle(aheadOf(less, high, change))
          expect(middle(aheadOf(more, high, change))).toBeGreaterThanOrEqual(here)
          expect(middle(aheadOf(less, low, change))).toBeGreaterThanOrEqual(here)
          if (change !== undefined)
            expect(middle(aheadOf(less, high, change * 2))).toBeGreaterThanOrEqual(here)
        },
      ),
      { seed, numRuns: 100 },
    )
  })

  it(`has its figures in order and none that is no number, seed ${seed}`, () => {
    fc.assert(
      fc.property(histories, amount, limits, changes, (copies, bytes, limit, change) => {
        const forecast = forecastCopy(aheadOf(bytes, limit, change), copies)
        const [low = NaN, middle = NaN, high = NaN] = times(forecast)
        expect(low).toBeLessThanOrEqual(middle)
        expect(middle).toBeLessThanOrEqual(high)
        const figures: unknown[] = []
        JSON.stringify(forecast, (_key, value: unknown) => {
          if (typeof value === 'number') figures.push(value)
          return value
        })
        for (const figure of figures) {
          expect(Number.isFinite(figure)).toBe(true)
          expect(figure).toBeGreaterThanOrEqual(0)
        }
      }),
      { seed, numRuns: 100 },
    )
  })
})

describe('learnPace()', () => {
  it('leaves out records without times or bytes', () => {
    const { replicationStartedAt: _none, ...unstarted } = record(1e9, 60)
    expect(pastCopies([unstarted, record(0, 60), record(1e9, 0), record(1e9, -5)])).toEqual([])
    expect(
      learnPace([], { instanceType: 'local', areChangesKnown: false, isFullnessKnown: false }),
    ).toBeUndefined()
  })

  it('hardly heeds copies of seconds, of which most is beginning and end', () => {
    const tiny = Array.from({ length: 6 }, () => record(2e6, 2))
    const [with_, without] = [[...history, ...pastCopies(tiny)], history].map((copies) =>
      expected(forecastCopy(ahead(), copies)),
    )
    // Alone they would say 1 MB/s.
    expect(with_?.expectedMinutes).toBeLessThan((without?.expectedMinutes ?? 0) * 1.5)
  })
})

describe('logSpread()', () => {
  it('finds the middle of values of which it knows only bounds for some', () => {
    const random = dice(7)
    const values = Array.from({ length: 400 }, () => 100 * Math.exp(0.4 * random.normal()))
    // What is above 100 is seen as at least 100.
    const seen = values.map((value) => ({ value: Math.min(value, 100), weight: 1, isAtLeast: value >= 100 }))
    const found = logSpread(seen)
    expect(Math.exp(found?.middle ?? 0)).toBeGreaterThan(92)
    expect(Math.exp(found?.middle ?? 0)).toBeLessThan(108)
    expect(found?.width).toBeGreaterThan(0.35)
    expect(found?.width).toBeLessThan(0.45)
  })
})

describe('secondsToCopy()', () => {
  const asLimited = (limit: number): number => limit
  const lessChanged =
    (changedBytesPerSecond: number) =>
    (limit: number): number =>
      limit - changedBytesPerSecond

  it('waits for the hours in which something may be sent', () => {
    // Nothing for a quarter of an hour, then 10 bytes a second for one, over and over.
    const week = Array.from({ length: 672 }, (_, part) => (part % 2 === 0 ? 0 : 10))
    expect(secondsToCopy(1, week, asLimited)).toBeCloseTo(partSeconds + 0.1)
    expect(secondsToCopy(9000, week, asLimited)).toBeCloseTo(2 * partSeconds)
    expect(secondsToCopy(9001, week, asLimited)).toBeCloseTo(3 * partSeconds + 0.1)
    // 336 such parts are 3,024,000 bytes a week.
    expect(secondsToCopy(3_024_000 * 5 + 1, week, asLimited)).toBeCloseTo(5 * 604_800 + partSeconds + 0.1)
  })

  it('never ends where a week lets less through than changes', () => {
    const week = Array.from({ length: 672 }, (_, part) => (part === 0 ? 10 : 0))
    expect(secondsToCopy(8000, week, lessChanged(1))).toBeCloseTo(8000 / 9)
    expect(secondsToCopy(9000, week, lessChanged(1))).toBe(Infinity)
    expect(secondsToCopy(5, 3, lessChanged(3))).toBe(Infinity)
  })

  it('copies no more than there is, however long it was shut before', () => {
    const shutFirst = Array.from({ length: 672 }, (_, part) => (part < 336 ? 0 : 10))
    const halfWeek = 336 * partSeconds
    expect(secondsToCopy(8000, shutFirst, lessChanged(6))).toBeCloseTo(halfWeek + 2000)
    expect(secondsToCopy(halfWeek * 4 + 1, shutFirst, lessChanged(6))).toBe(Infinity)
  })

  it('is what going through it step by step comes to', () => {
    const seed = Number(process.env['FORECAST_SEED'] ?? Date.now() % 2 ** 31)
    const { roll: chance } = dice(seed)
    const parts = 20
    for (let round = 0; round < 300; round++) {
      const week = Array.from({ length: parts }, () => Math.floor(chance() * 5))
      const changed = Math.floor(chance() * 3)
      const bytes = 1 + Math.floor(chance() * 20_000)
      let left = bytes
      let expected = Infinity
      for (let part = 0; part < 500 * parts && expected === Infinity; part++) {
        const gain = ((week[part % parts] ?? 0) - changed) * partSeconds
        if (gain > 0 && left <= gain) expected = (part + left / gain) * partSeconds
        left = Math.min(bytes, left - gain)
      }
      const told = `seed ${seed}: ${bytes} bytes, ${changed} changing, ${week.join(' ')}`
      expect(secondsToCopy(bytes, week, lessChanged(changed)), told).toBeCloseTo(expected, 3)
    }
  })
})

describe('limitAhead()', () => {
  const server = (overrides: object = {}) => {
    const made = testServer()
    return { ...made, replicationConfiguration: { ...made.replicationConfiguration, ...overrides } }
  }
  const from = new Date(addedAt)

  it("is the server's own limit, infinite for none", () => {
    expect(limitAhead(server(), { sites: [] }, [], from)).toBe(Infinity)
    expect(limitAhead(server({ bandwidthThrottlingMbps: 80 }), { sites: [] }, [], from)).toBe(10e6)
  })

  it('is a share of the site while others of it are copied', () => {
    const sites = [{ name: 'berlin', limitMbps: 80 }]
    const own = server({ site: 'berlin', priority: 3 })
    const other = {
      ...server({ site: 'berlin', priority: 4 }),
      sourceServerId: 's-00000000000000002' as never,
    }
    expect(limitAhead(own, { sites }, [], from)).toBe(10e6)
    // One of three parts of what is left after a megabit for each.
    expect(limitAhead(own, { sites }, [other], from)).toBe(3_375_000)
    const ready = { ...other, lifecycle: { ...other.lifecycle, state: 'READY_FOR_TEST' as const } }
    expect(limitAhead(own, { sites }, [own, ready], from)).toBe(10e6)
  })

  it('follows the calendar from the moment on', () => {
    const calendar = {
      timeZone: 'UTC',
      entries: [{ weekdays: ['SUN'] as const, from: '12:00', to: '13:00', limit: 'OFF' as const }],
    }
    // A Sunday, at twelve.
    const week = limitAhead(server({ bandwidthThrottlingMbps: 8 }), { calendar, sites: [] }, [], from)
    expect(week).toHaveLength(672)
    expect((week as number[]).slice(0, 6)).toEqual([0, 0, 0, 0, 1e6, 1e6])
  })
})

describe('forecastErrors()', () => {
  it('counts what held, by how much the others were off, and to which side', () => {
    const held = [
      { expected: 10, low: 8, high: 15, actual: 10 },
      { expected: 10, low: 8, high: 15, actual: 20 },
      { expected: 30, low: 22, high: 40, actual: 20 },
      { expected: 12, low: 9, actual: 10 },
    ]
    expect(forecastErrors(held)).toEqual({
      count: 4,
      medianErrorPercent: 35,
      biasPercent: 10,
      withinPercent: 50,
    })
    expect(forecastErrors([])).toEqual({ count: 0 })
    expect(forecastErrors([{ expected: 1, low: 0, actual: 0 }])).toEqual({ count: 1, withinPercent: 100 })
  })
})
