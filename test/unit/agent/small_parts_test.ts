import { describe, expect, it } from 'vitest'
import { backoffMs } from '../../../agent/backoff.ts'
import { newTally } from '../../../agent/consistency/point_context.ts'
import { defaultConsistencyPolicy } from '../../../domain/consistency_policy.ts'
import { PointKeeper } from '../../../agent/consistency/point_keeper.ts'
import { LineLog } from '../../../agent/log.ts'
import { Certainty } from '../../../agent/sync/certainty.ts'
import { Meter } from '../../../agent/sync/meter.ts'
import { forEachAtOnce, pieces } from '../../../agent/sync/scanner.ts'
import { Throttle } from '../../../agent/sync/throttle.ts'
import { checkReplicatorUri } from '../../../agent/sync/tls_link.ts'
import { FakeClock } from './fake_clock.ts'

describe('backoffMs()', () => {
  it('doubles, is bounded, and is spread over its upper half', () => {
    const options = { baseMs: 500, maxMs: 30_000 }
    expect([1, 2, 3, 8, 100].map((failures) => backoffMs(failures, options, () => 0))).toEqual([
      250, 500, 1000, 15_000, 15_000,
    ])
    expect([1, 2, 3, 8, 100].map((failures) => backoffMs(failures, options, () => 1))).toEqual([
      500, 1000, 2000, 30_000, 30_000,
    ])
  })
})

describe('LineLog', () => {
  it('writes one line per entry, and nothing while held', () => {
    const lines: string[] = []
    const log = new LineLog({ write: (line) => lines.push(line) }, () => 0)
    log.info('a\nforged line')
    log.hold()
    log.error('b')
    expect(lines).toEqual(['1970-01-01T00:00:00.000Z INFO    a forged line\n'])
    log.release()
    expect(lines[1]).toBe('1970-01-01T00:00:00.000Z ERROR   b\n')
  })

  it('keeps a bounded number of lines while held and tells how many it dropped', () => {
    const lines: string[] = []
    const log = new LineLog({ write: (line) => lines.push(line) }, () => 0)
    log.hold()
    for (let count = 0; count < 1005; count++) log.info(String(count))
    log.release()
    expect(lines).toHaveLength(1001)
    expect(lines.at(-1)).toContain('5 log lines were dropped')
  })
})

describe('Throttle', () => {
  it('lets bytes pass at its rate over time', async () => {
    const clock = new FakeClock()
    const throttle = new Throttle(clock)
    throttle.setBitsPerSecond(8_000_000)
    const begin = clock.now
    for (let count = 0; count < 50; count++) await throttle.take(100_000)
    // 5 MB at 1 MB/s; the last piece may be overdrawn.
    expect(clock.now - begin).toBeGreaterThan(4800)
    expect(clock.now - begin).toBeLessThan(5100)
  })

  it('lets everything pass without a limit', async () => {
    const clock = new FakeClock()
    await new Throttle(clock).take(1e12)
    expect(clock.sleeps).toEqual([])
  })

  it('lets nothing pass while it is off, limit or none, and everything again afterwards', async () => {
    const clock = new FakeClock()
    const throttle = new Throttle(clock)
    for (const rate of [0, 8_000_000]) {
      throttle.setBitsPerSecond(rate)
      throttle.isOff = true
      let hasPassed = false
      const taking = throttle.take(1000).then(() => (hasPassed = true))
      while (clock.sleeps.length < 5) await new Promise((resolve) => setImmediate(resolve))
      expect(hasPassed).toBe(false)
      throttle.isOff = false
      await taking
      clock.sleeps.length = 0
    }
  })

  it('ends its wait with the signal', async () => {
    const throttle = new Throttle(new FakeClock())
    throttle.setBitsPerSecond(8)
    await expect(throttle.take(1, AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
  })
})

describe('Meter', () => {
  it('measures the last five seconds', () => {
    const clock = new FakeClock()
    const meter = new Meter(clock)
    for (let count = 0; count < 100; count++) {
      meter.add(1000)
      clock.now += 100
    }
    expect(meter.perSecond()).toBeGreaterThan(9000)
    expect(meter.perSecond()).toBeLessThan(10_500)
    clock.now += 6000
    expect(meter.perSecond()).toBe(0)
  })
})

describe('Certainty', () => {
  it('keeps the latest moment whose changes are durable', async () => {
    const clock = new FakeClock()
    const certainty = new Certainty(clock)
    expect(certainty.lagMs()).toBeNull()
    certainty.expect(clock.now - 100, Promise.resolve())
    certainty.expect(clock.now - 300, Promise.resolve())
    certainty.expect(clock.now, Promise.reject(new Error('The session broke')))
    await new Promise((resolve) => setImmediate(resolve))
    expect(certainty.lagMs()).toBe(100)
    clock.now += 50
    expect(certainty.lagMs()).toBe(150)
    expect(certainty.lastConsistentAtMs()).toBe(clock.now - 150)
    certainty.reset()
    expect(certainty.lagMs()).toBeNull()
  })
})

describe('PointKeeper by a policy', () => {
  const policy = { ...defaultConsistencyPolicy, intervalMinutes: 10, maxFreezeMs: 700 }
  const asked = (clock: FakeClock) => ({
    consistencyPointId: 'cp-asked',
    expiresAt: new Date(clock.now + 60_000).toISOString(),
    maxFreezeMs: 1000,
  })

  it('makes a point due an interval after the last, and none without an interval', () => {
    const clock = new FakeClock()
    const keeper = new PointKeeper(clock)
    clock.now += 3_600_000
    keeper.schedule()
    expect(keeper.pending).toBeUndefined()
    keeper.setPolicy(policy)
    keeper.schedule()
    const first = keeper.pending
    expect(first).toMatchObject({ isScheduled: true, hold: false, maxFreezeMs: 700 })
    expect(keeper.isAsked).toBe(false)
    // What the gateway says of its own points is nothing to this one.
    keeper.apply(undefined)
    expect(keeper.pending).toBe(first)
    keeper.finish(first?.consistencyPointId ?? '', { failure: 'too busy', tally: newTally() })
    expect(keeper.failure).toBeUndefined()
    clock.now += 599_999
    keeper.schedule()
    expect(keeper.pending).toBeUndefined()
    clock.now += 1
    keeper.schedule()
    expect(keeper.pending).toBeDefined()
  })

  it('gives way to one that the gateway asks for', () => {
    const clock = new FakeClock()
    const keeper = new PointKeeper(clock)
    keeper.setPolicy(policy)
    clock.now += 600_000
    keeper.schedule()
    const scheduled = keeper.pending?.consistencyPointId ?? ''
    expect(keeper.apply(asked(clock))).toBe(true)
    expect(keeper.pending).toMatchObject({ consistencyPointId: 'cp-asked', hold: true })
    keeper.finish(scheduled, { failure: 'given up', tally: newTally() })
    expect(keeper.isAsked).toBe(true)
    expect(keeper.outcomes).toEqual([])
  })

  it('keeps what became of points until it was told, with what they came to', () => {
    const clock = new FakeClock()
    const keeper = new PointKeeper(clock)
    keeper.apply(asked(clock))
    const tally = { ...newTally(), freezes: 2, longestFreezeMs: 40 }
    keeper.sent({ consistencyPointId: 'cp-asked', hold: true, method: 'FROZEN', frozenMs: 30 }, tally)
    keeper.finish('cp-asked', { method: 'FROZEN' })
    clock.now += 500
    expect(keeper.outcomes).toEqual([
      {
        ...tally,
        sequence: 1,
        consistencyPointId: 'cp-asked',
        agoMs: 500,
        isScheduled: false,
        method: 'FROZEN',
      },
    ])
    keeper.told(0)
    expect(keeper.outcomes).toHaveLength(1)
    keeper.told(1)
    expect(keeper.outcomes).toEqual([])
  })
})

describe('PointKeeper', () => {
  const point = (id: string, expiresInMs: number, clock: FakeClock) => ({
    consistencyPointId: id,
    expiresAt: new Date(clock.now + expiresInMs).toISOString(),
    maxFreezeMs: 1000,
  })

  it('deals with each point once, however often it is asked for', () => {
    const clock = new FakeClock()
    const keeper = new PointKeeper(clock)
    expect(keeper.apply(point('cp-1', 60_000, clock))).toBe(true)
    expect(keeper.apply(point('cp-1', 60_000, clock))).toBe(false)
    expect(keeper.pending).toMatchObject({ consistencyPointId: 'cp-1', deadlineMs: clock.now + 60_000 })
    const failed = (failure: string) => ({ failure, tally: newTally() })
    keeper.finish('cp-0', failed('another one'))
    expect(keeper.pending).toBeDefined()
    keeper.finish('cp-1', failed('too busy'))
    expect(keeper.apply(point('cp-1', 60_000, clock))).toBe(false)
    expect(keeper.pending).toBeUndefined()
    expect(keeper.failure).toEqual({ consistencyPointId: 'cp-1', reason: 'too busy' })
    keeper.apply(undefined)
    expect(keeper.failure).toBeUndefined()
    expect(keeper.apply(point('cp-2', 60_000, clock))).toBe(true)
  })

  it('gives itself a sane time, however wrong a clock is', () => {
    const clock = new FakeClock()
    const keeper = new PointKeeper(clock)
    keeper.apply(point('cp-1', -3_600_000, clock))
    expect(keeper.pending?.deadlineMs).toBe(clock.now + 5000)
    keeper.apply(point('cp-2', 3_600_000, clock))
    expect(keeper.pending?.deadlineMs).toBe(clock.now + 120_000)
  })
})

describe('pieces()', () => {
  it('cuts at multiples', () => {
    expect([...pieces({ firstBlock: 10, blockCount: 30 }, 16)]).toEqual([
      { firstBlock: 10, blockCount: 6 },
      { firstBlock: 16, blockCount: 16 },
      { firstBlock: 32, blockCount: 8 },
    ])
  })
})

describe('forEachAtOnce()', () => {
  it('runs a few at a time, in order, and stops after a failure', async () => {
    const begun: number[] = []
    let atOnce = 0
    let most = 0
    const run = forEachAtOnce([1, 2, 3, 4, 5, 6, 7, 8], 3, async (item) => {
      begun.push(item)
      atOnce += 1
      most = Math.max(most, atOnce)
      await new Promise((resolve) => setImmediate(resolve))
      atOnce -= 1
      if (item === 4) throw new Error('four')
    })
    await expect(run).rejects.toThrow('four')
    expect(begun).toEqual(begun.toSorted((a, b) => a - b))
    expect(begun.length).toBeLessThan(8)
    expect(most).toBe(3)
  })
})

describe('checkReplicatorUri()', () => {
  it('accepts exactly the one name asked for', () => {
    expect(
      checkReplicatorUri('DNS:replicator.rehost.internal, URI:rehost://replication-server/i-1', 'i-1'),
    ).toBeUndefined()
    for (const names of [
      undefined,
      'DNS:replicator.rehost.internal',
      'URI:rehost://replication-server/i-2',
      'URI:rehost://replication-server/i-1, URI:rehost://replication-server/i-2',
      'DNS:"URI:rehost://replication-server/i-1"',
      'URI:rehost://source-server/i-1',
    ]) {
      expect(checkReplicatorUri(names, 'i-1')?.message).toContain('Cannot trust the replication server')
    }
  })
})
