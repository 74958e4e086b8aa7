import { expect, test } from 'vitest'
import type { HeartbeatTimes } from '../../../bench/fleet/fleet_file.ts'
import { heartbeatRows, heartbeatsPerSecond } from '../../../bench/fleet/heartbeat_rows.ts'

const facts = { storeReads: 1000, usedSeconds: 1, fleet: '10 servers', agentCount: 10, firstSeconds: 1 }
const none: HeartbeatTimes = { milliseconds: [1], failures: 0, stolenShares: [0] }

/** Seconds in which every heartbeat took `ms` while the host took `stolen` of the processors. */
function seconds(...each: { ms: number; stolen: number }[]): HeartbeatTimes {
  return {
    milliseconds: each.flatMap(({ ms }) => Array.from({ length: heartbeatsPerSecond }, () => ms)),
    failures: 0,
    stolenShares: each.map(({ stolen }) => stolen),
  }
}

function judgedRows(counted: HeartbeatTimes, first = none) {
  const rows = heartbeatRows({ first, counted, longestStallMs: 0, coreShare: 0.3 }, facts)
  return rows.filter(({ met }) => met !== null)
}

test('what is late while the host has the processors is told beside what is late by itself', () => {
  const calm = Array.from({ length: 10 }, () => ({ ms: 5, stolen: 0.01 }))
  // What waited is still there in the second after it, and what was due at the end of the one before waits too.
  const disturbed = [
    { ms: 100, stolen: 0 },
    { ms: 300, stolen: 0.4 },
    { ms: 200, stolen: 0 },
  ]
  const [all, left, ...more] = judgedRows(seconds(...calm, ...disturbed))
  expect([all?.value, all?.met]).toEqual([300, false])
  expect(all?.limit).toContain('The host took 3.85 % of their time away')
  expect([left?.value, left?.met]).toEqual([5, true])
  expect(left?.what).toContain('10 of 13')
  expect(more).toEqual([])
})

test('a gateway that is late by itself does not meet the budget in calm seconds either', () => {
  const calm = Array.from({ length: 20 }, () => ({ ms: 60, stolen: 0 }))
  expect(judgedRows(seconds(...calm)).map(({ value, met }) => [value, met])).toEqual([
    [60, false],
    [60, false],
  ])
})

test('the first and the last second are calm only beside one that is', () => {
  const calm = Array.from({ length: 11 }, () => ({ ms: 5, stolen: 0 }))
  const ends = { ms: 100, stolen: 0 }
  const stolenBefore = { ...none, stolenShares: [0, 0.4] }
  const [, left] = judgedRows(seconds(ends, ...calm, ends), stolenBefore)
  expect([left?.value, left?.what]).toEqual([5, expect.stringContaining('11 of 13')])
  // Nobody knows what the host took behind the last one.
  expect(judgedRows(seconds(ends, ...calm, ends))[1]?.what).toContain('12 of 13')
})

test('a handful of calm seconds is not judged', () => {
  const calm = Array.from({ length: 9 }, () => ({ ms: 5, stolen: 0 }))
  const rows = judgedRows(seconds(...calm, { ms: 5, stolen: 0.5 }))
  expect(rows).toHaveLength(1)
})
