import { describe, expect, it } from 'vitest'
import type { PointOutcome } from '../../../domain/point_figures.ts'
import { lastDayOf, withPointOutcomes } from '../../../domain/point_figures.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const outcome = (sequence: number, changes: Partial<PointOutcome> = {}): PointOutcome => ({
  sequence,
  consistencyPointId: `cp-${sequence}`,
  agoMs: 0,
  isScheduled: true,
  method: 'FROZEN',
  freezes: 1,
  longestFreezeMs: 20,
  longestHoldMs: 0,
  hooks: 'NONE',
  ...changes,
})
const failed = (sequence: number, failure: string): PointOutcome => {
  const { method: _none, ...rest } = outcome(sequence, { failure })
  return rest
}
const news = (server: SourceServer): string[] =>
  server.outbox.filter(({ type }) => type === 'CONSISTENCY_POINT').map(({ message }) => message)
const hour = 3600

describe('withPointOutcomes()', () => {
  it('counts each outcome once, however often it is told, and a new run from its own first', () => {
    const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    const once = withPointOutcomes(server, 1, [outcome(1), outcome(2)], later(10))
    expect(withPointOutcomes(once, 1, [outcome(1), outcome(2)], later(11))).toBe(once)
    const next = withPointOutcomes(once, 2, [outcome(1)], later(12))
    const points = next.replication.points
    expect(points?.counted).toEqual({ generation: 2, sequence: 1 })
    expect(points && lastDayOf(points, later(13))).toMatchObject({ reached: 3, failed: 0, freezes: 3 })
  })

  it('keeps the last, the longest and the age, by the clock of the gateway', () => {
    const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    const told = [
      outcome(1, { longestFreezeMs: 900, longestHoldMs: 4000, hooks: 'RUN', agoMs: 5000 }),
      outcome(2, { method: 'QUIET', freezes: 0, longestFreezeMs: 0, agoMs: 1000 }),
    ]
    const points = withPointOutcomes(server, 1, told, later(100)).replication.points
    expect(points).toMatchObject({
      reachedAt: later(99),
      held: { at: later(95), freezeMs: 900, holdMs: 4000 },
      last: { consistencyPointId: 'cp-2', method: 'QUIET', at: later(99) },
    })
    expect(points && lastDayOf(points, later(100))).toEqual({
      reached: 2,
      failed: 0,
      freezes: 1,
      longestFreezeMs: 900,
      longestHoldMs: 4000,
    })
  })

  it('stays small and forgets what is older than a day', () => {
    let server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    for (let minute = 0; minute < 48 * 60; minute++)
      server = withPointOutcomes(server, 1, [outcome(minute + 1)], later(minute * 60))
    const { points } = server.replication
    expect(points?.hours.length).toBeLessThanOrEqual(25)
    const day = points && lastDayOf(points, later(48 * hour))
    expect(day?.reached).toBeGreaterThanOrEqual(24 * 60)
    expect(day?.reached).toBeLessThanOrEqual(25 * 60)
    expect(points && lastDayOf(points, later(100 * hour))).toMatchObject({ reached: 0, longestFreezeMs: 0 })
  })

  it('tells a failure by the policy once for each reason, and that it is over', () => {
    const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    const outcomes = [
      outcome(1),
      failed(2, 'too busy: 3.25 GiB'),
      failed(3, 'too busy: 12.5 GiB'),
      failed(4, 'a hook failed'),
      outcome(5),
      outcome(6),
    ]
    const after = withPointOutcomes(server, 1, outcomes, later(10))
    expect(news(after)).toEqual([
      'A consistency point by the policy could not be reached: too busy: 3.25 GiB',
      'A consistency point by the policy could not be reached: a hook failed',
      'Consistency points are reached again',
    ])
    expect(after.replication.points?.failure).toEqual({ at: later(10), reason: 'a hook failed' })
  })

  it('says that a point is crash-consistent only because a hook failed', () => {
    const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    const crash = { hooks: 'FAILED' as const, hookFailure: 'Hook /h/10: it ended with status 1' }
    const after = withPointOutcomes(server, 1, [outcome(1, crash), outcome(2, crash)], later(10))
    expect(news(after)).toEqual([
      'Consistency point cp-1 is crash-consistent, as if the power had failed: Hook /h/10: it ended with status 1',
    ])
  })
})
