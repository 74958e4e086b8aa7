/**
 * The data plane against an oracle: the agent's engine and a replicator, both real, on simulated disks, trackers and links. Concurrent
 * writers, lost events, kills of either end, runs of the agent that go on where the one before was, power cuts, links cut anywhere, rescans,
 * pauses, consistency points and disks that grow, their volumes sooner or later, in every order.
 *
 * `SCHEDULES=N` runs N schedules, `REHOST_LONG=1` runs 5,000; `SEED=…` begins with that one.
 * @module
 */
import { describe, expect, it } from 'vitest'
import { blockSizeBytes, sectorSizeBytes } from '../../../domain/units.ts'
import { randomInt, seedFor } from '../../fixtures/seed.ts'
import { SimWorld } from './sim_world.ts'

const seed = seedFor('model')
const schedules = Number(process.env['SCHEDULES'] ?? (process.env['REHOST_LONG'] === '1' ? 5000 : 100))

type Step = (world: SimWorld) => Promise<void>

/** What may happen, and how often beside the others. */
const steps: readonly { weight: number; run: Step }[] = [
  { weight: 6, run: (world) => world.turns(120) },
  { weight: 3, run: (world) => world.restartReplicator(true) },
  { weight: 2, run: (world) => world.restartReplicator(false) },
  { weight: 2, run: (world) => world.restartAgent(true) },
  { weight: 1, run: (world) => world.restartAgent(false) },
  { weight: 1, run: killBoth },
  { weight: 2, run: loseEvents },
  { weight: 3, run: cutLinks },
  { weight: 1, run: stallLink },
  { weight: 1, run: rescan },
  { weight: 1, run: pause },
  { weight: 1, run: failDisk },
  { weight: 2, run: (world) => world.reachPoint() },
  { weight: 2, run: growDisk },
  { weight: 2, run: (world) => world.growVolumes() },
]

async function killBoth(world: SimWorld): Promise<void> {
  world.replicator.kill(world.random() < 0.5)
  await world.restartAgent(true)
  await world.turns(20)
  await world.replicator.start()
}

async function loseEvents(world: SimWorld): Promise<void> {
  world.lossChance = 0.2
  await world.turns(60)
  world.lossChance = 0
}

async function cutLinks(world: SimWorld): Promise<void> {
  const { random } = world
  // Within HELLO, within a frame, or after some.
  const most = [200, 3000, 400_000][randomInt(random, 0, 2)] ?? 200
  const pieceBytes = [7, 1000, 65_536][randomInt(random, 0, 2)] ?? 7
  const isTiny = pieceBytes === 7
  world.nextLink = () => ({
    cutAfterBytes: randomInt(random, 0, isTiny ? Math.min(most, 3000) : most),
    pieceBytes,
  })
  world.agent.anyLink()?.cut()
  await world.turns(80)
  world.nextLink = () => ({ cutAfterBytes: Infinity, pieceBytes: 65_536 })
}

async function stallLink(world: SimWorld): Promise<void> {
  const link = world.agent.anyLink()
  link?.stall()
  await world.turns(60)
  if (world.random() < 0.5) link?.flow()
  else link?.cut()
}

function rescan({ agent }: SimWorld): Promise<void> {
  agent.apply({ rescanEpoch: agent.desired.rescanEpoch + 1 })
  return Promise.resolve()
}

async function pause(world: SimWorld): Promise<void> {
  world.agent.apply({ mode: 'PAUSE' })
  await world.turns(40)
  world.agent.apply({ mode: 'REPLICATE' })
}

function growDisk(world: SimWorld): Promise<void> {
  world.growDisk()
  return Promise.resolve()
}

async function failDisk(world: SimWorld): Promise<void> {
  const { volumes } = world.replicator
  const volume = volumes[randomInt(world.random, 0, volumes.length - 1)]
  if (volume === undefined) return
  volume.data.faults =
    world.random() < 0.5 ? { writeError: 0.3, flushError: 0 } : { writeError: 0, flushError: 0.3 }
  await world.turns(60)
  volume.data.faults = { writeError: 0, flushError: 0 }
}

function anyStep(random: () => number): Step {
  let left = random() * steps.reduce((sum, { weight }) => sum + weight, 0)
  for (const { weight, run } of steps) {
    left -= weight
    if (left < 0) return run
  }
  throw new Error('A step is always found')
}

/** One schedule from begin to end; answers whether its last run of the agent had gone on where the one before was. */
async function runSchedule(ownSeed: number): Promise<boolean> {
  const world = new SimWorld(ownSeed)
  try {
    await world.replicator.start()
    world.startWriters()
    for (let count = randomInt(world.random, 3, 12); count > 0; count--) {
      await anyStep(world.random)(world)
      await world.turns(30)
    }
    await world.finish()
    return world.agent.hasResumed
  } finally {
    await world.end()
  }
}

describe('replication whatever happens', () => {
  it(
    `ends with identical volumes, and keeps what it claimed, in ${schedules} schedules`,
    async () => {
      let resumed = 0
      for (let run = 0; run < schedules; run++) {
        const ownSeed = (seed + run) >>> 0
        try {
          if (await runSchedule(ownSeed)) resumed += 1
        } catch (error) {
          throw new Error(`Failed with SEED=${ownSeed} SCHEDULES=1`, { cause: error })
        }
      }
      console.log(
        `In ${resumed} of ${schedules} schedules the last run of the agent went on where the one before was`,
      )
      if (schedules >= 100) expect(resumed).toBeGreaterThan(schedules / 20)
    },
    schedules * 2000 + 60_000,
  )
})

describe('a quiet source', () => {
  it('is not read and sends nothing again when the connection or the replicator is lost', async () => {
    const world = new SimWorld(seed, { isAllTracked: true })
    try {
      await world.replicator.start()
      await world.converge()
      const { sentBytes } = world.agent.engine.report()
      for (const source of world.sources) source.readsSinceReset = 0
      world.agent.anyLink()?.cut()
      await world.converge()
      await world.restartReplicator(true)
      await world.converge()
      expect(world.agent.engine.report().sentBytes).toBe(sentBytes)
      // Of a disk without any content nothing was written: whether a device has become another one meanwhile only comparing tells.
      const withContent = world.sources.filter(({ bytes }) => bytes.some((byte) => byte !== 0))
      expect(withContent.map((source) => source.readsSinceReset)).toEqual(withContent.map(() => 0))
    } finally {
      await world.end()
    }
  })

  it('is not read and sends nothing again when the agent is killed or stopped', async () => {
    const world = new SimWorld(seed, { isAllTracked: true })
    try {
      await world.replicator.start()
      await world.converge()
      for (const isKilled of [true, false, true]) {
        // What is outstanding is written down once a second.
        const writtenMs = world.clock.now + 3000
        await world.until('nothing is written down as outstanding', () => world.clock.now > writtenMs)
        for (const source of world.sources) source.readsSinceReset = 0
        await world.restartAgent(isKilled, 0)
        await world.converge()
        expect(world.agent.hasResumed).toBe(true)
        expect(world.agent.engine.report().sentBytes).toBe(0)
        expect(world.sources.map((source) => source.readsSinceReset)).toEqual(world.sources.map(() => 0))
      }
    } finally {
      await world.end()
    }
  })
})

describe('a disk whose volume grows by less than a block', () => {
  it.each([true, false])(
    'is copied to its new end by a run that starts after that, killed before: %s',
    async (isKilled) => {
      const sizeBytes = 5 * blockSizeBytes + 3 * sectorSizeBytes
      const world = new SimWorld(seed, { isAllTracked: true, diskBytes: [sizeBytes] })
      const [source] = world.sources
      const [volume] = world.replicator.volumes
      try {
        volume?.data.resize(6 * blockSizeBytes, false)
        await world.replicator.start()
        await world.converge()
        // What is outstanding is written down once a second.
        const writtenMs = world.clock.now + 3000
        await world.until('nothing is written down as outstanding', () => world.clock.now > writtenMs)
        source?.grow(Buffer.alloc(sectorSizeBytes, 9))
        source?.growVolume()
        await world.restartAgent(isKilled, 0)
        await world.converge()
        expect(volume?.data.view[sizeBytes]).toBe(9)
      } finally {
        await world.end()
      }
    },
  )
})
