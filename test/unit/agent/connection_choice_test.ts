import { describe, expect, it } from 'vitest'
import type { ConnectionChoice } from '../../../agent/sync/connection_choice.ts'
import { nextConnections, oneConnection, withoutTrial } from '../../../agent/sync/connection_choice.ts'
import { maxConnections, MeasuredConnections } from '../../../agent/sync/connection_plan.ts'
import { seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'

const stepMs = 3000

/** A path from disk to disk. */
interface World {
  /** What one connection may have on its way, bytes, and how long an answer takes. */
  windowBytes: number
  rttMs: number
  /** What all connections carry together, and what both machines can make and take, in bytes a millisecond. */
  linkSpeed: number
  machineSpeed: number
}

/** What is seen of it in some time. */
function observe(world: World, count: number, ms = stepMs, noise = 1) {
  const carried = Math.min((count * world.windowBytes) / world.rttMs, world.linkSpeed) * noise
  const speed = Math.min(carried, world.machineSpeed)
  return {
    busyMs: ms,
    acknowledgedBytes: speed * ms,
    // The machine works while the link does; what is left of the time, bytes wait.
    waitMs: ms * (speed < world.machineSpeed ? 1 : 0.4),
  }
}

function run(world: World, steps: number, begin = { choice: oneConnection, now: 0 }, noise = () => 1) {
  let { choice, now } = begin
  const counts: number[] = []
  for (let step = 0; step < steps; step++) {
    now += stepMs
    choice = nextConnections(choice, observe(world, choice.count, stepMs, noise()), now, maxConnections)
    counts.push(choice.count)
  }
  return { choice, now, counts }
}

function changes(counts: readonly number[]): number {
  return counts.filter((count, index) => index > 0 && count !== counts[index - 1]).length
}

const windowBytes = 4 * 2 ** 20
/** 100 ms away: each connection carries 42 MB/s of the 1.25 GB/s that the link has. */
const far: World = { windowBytes, rttMs: 100, linkSpeed: 1_250_000, machineSpeed: 800_000 }
/** Full with one connection. */
const full: World = { windowBytes, rttMs: 1, linkSpeed: 12_500, machineSpeed: 800_000 }
const loopback: World = { windowBytes, rttMs: 0.05, linkSpeed: 8_000_000, machineSpeed: 800_000 }

describe('nextConnections()', () => {
  it('opens one after the other while each makes it faster, and keeps them', () => {
    const { counts } = run(far, 5000)
    expect(counts.indexOf(5) * stepMs).toBeLessThan(60_000)
    expect(changes(counts)).toBe(4)
  })

  it('takes as many as a shared link needs: a further one is tried ever more rarely', () => {
    const { counts } = run({ ...far, linkSpeed: 4.05 * (windowBytes / 100) }, 5000)
    expect(counts.at(-1)).toBe(4)
    expect(counts.slice(100).filter((count) => count === 5).length).toBeLessThan(40)
  })

  it('stays with one where the machine is what limits', () => {
    expect(new Set(run(loopback, 5000).counts)).toEqual(new Set([1]))
  })

  it('stays with one where the link is full: of four hours, trials take seconds', () => {
    const { counts } = run(full, 4800)
    expect(counts.at(-1)).toBe(1)
    expect(Math.max(...counts)).toBe(2)
    expect(counts.filter((count) => count > 1).length * stepMs).toBeLessThan(150_000)
  })

  it('closes what is no longer needed, opens again, and lets none come and go for ever', () => {
    const first = run(far, 30)
    const slow = run({ ...far, machineSpeed: 15_000 }, 5000, first)
    expect(slow.choice.count).toBe(1)
    expect(run(far, 60, slow).choice.count).toBe(5)
    // With five connections the machine is what limits, with four the link is.
    const { counts } = run({ ...far, machineSpeed: 4.6 * (windowBytes / 100) }, 20_000)
    expect(changes(counts)).toBeLessThan(40)
    expect(counts.filter((count) => count < 4).length).toBeLessThan(100)
  })

  it('judges nothing by the first observation', () => {
    const seen = { busyMs: stepMs, waitMs: stepMs, acknowledgedBytes: 1e8 }
    const first = nextConnections(oneConnection, seen, 0, maxConnections)
    expect(first).toEqual({ ...oneConnection, observations: 1 })
    const second = nextConnections(first, seen, 0, maxConnections)
    expect(second.count).toBe(1)
    expect(nextConnections(second, seen, 0, maxConnections)).toMatchObject({ count: 2, observations: 0 })
    expect(nextConnections(second, seen, 0, 1).count).toBe(1)
  })

  it('waits ever longer after a connection that could not be opened', () => {
    let choice: ConnectionChoice = oneConnection
    const tries: number[] = []
    for (let now = stepMs; now < 5 * 3_600_000; now += stepMs) {
      choice = nextConnections(choice, observe(far, 1), now, maxConnections)
      if (choice.count === 1) continue
      tries.push(now)
      choice = withoutTrial(choice, now)
    }
    const waits = tries.slice(1).map((at, index) => Math.round((at - (tries[index] ?? 0)) / 60_000))
    expect(waits.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 32, 32, 32])
    // One that is in use is not on trial.
    expect(withoutTrial(oneConnection, 0)).toBe(oneConnection)
  })

  it('comes near the best number of connections on any link, and stays there', () => {
    const seed = seedFor('connections')
    const random = seededRandom(seed)
    for (let round = 0; round < 100; round++) {
      const linkSpeed = 1000 + 200_000 * random()
      const rttMs = (windowBytes * (1 + 5 * random())) / linkSpeed
      const world = { windowBytes, rttMs, linkSpeed, machineSpeed: 2000 + 400_000 * random() }
      const noise = () => 0.98 + 0.04 * random()
      const { counts } = run(world, 1200, undefined, noise)
      const speedOf = (count: number) => observe(world, count, 1).acknowledgedBytes
      const mean = counts.reduce((sum, count) => sum + speedOf(count), 0) / counts.length
      const what = `seed ${seed}, round ${round}`
      // A connection that gains less than a tenth is not kept.
      expect(mean / speedOf(maxConnections), what).toBeGreaterThan(0.85)
      expect(changes(counts), what).toBeLessThan(45)
    }
  })
})

describe('MeasuredConnections', () => {
  /** Asks ten times a second for so long; answers the numbers there were. */
  function live(plan: MeasuredConnections, clock: FakeClock, world: World, seconds: number) {
    const counts = [plan.first]
    const counted = { busyMs: 0, waitMs: 0, acknowledgedBytes: 0 }
    for (let step = 0; step < seconds * 10; step++) {
      const count = counts.at(-1) ?? 1
      clock.now += 100
      const seen = observe(world, count, 100)
      counted.busyMs += seen.busyMs
      counted.waitMs += seen.waitMs
      counted.acknowledgedBytes += seen.acknowledgedBytes
      const wanted = plan.wanted(count, { ...counted })
      counts.push(count + Math.sign(wanted - count))
    }
    return counts
  }

  it('begins with one and settles where the link is used best', () => {
    const clock = new FakeClock()
    expect(live(new MeasuredConnections(clock), clock, far, 120).at(-1)).toBe(5)
    expect(new Set(live(new MeasuredConnections(clock), clock, loopback, 600))).toEqual(new Set([1]))
  })

  it('learns nothing where hardly anything is sent', () => {
    const clock = new FakeClock()
    const trickle = { ...far, linkSpeed: 0.001 }
    expect(new Set(live(new MeasuredConnections(clock), clock, trickle, 600))).toEqual(new Set([1]))
  })

  it('goes on asking for one until it is there or has failed', () => {
    const clock = new FakeClock()
    const plan = new MeasuredConnections(clock)
    const counted = { busyMs: 0, waitMs: 0, acknowledgedBytes: 0 }
    const ask = (count: number) => {
      clock.now += stepMs
      counted.busyMs += stepMs
      counted.waitMs += stepMs
      counted.acknowledgedBytes += 1e8
      return plan.wanted(count, { ...counted })
    }
    expect([ask(1), ask(1), ask(1), ask(1), ask(1), ask(1)]).toEqual([1, 1, 1, 2, 2, 2])
    plan.failed()
    expect(ask(1)).toBe(1)
  })
})
