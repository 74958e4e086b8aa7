/**
 * Two agents with one identity: the older run is refused and says so, and nothing of it lands on what the newer one writes.
 *
 * `SEED=…` replays.
 * @module
 */
import { describe, expect, it } from 'vitest'
import { randomBytesFrom, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { SimAgent } from './sim_agent.ts'
import { SimSource } from './sim_source.ts'
import { SimWorld } from './sim_world.ts'

const seed = seedFor('fencing')

describe('two agents with one identity', () => {
  it.each(Array.from({ length: 20 }, (_, run) => run))(
    'end with the newer one served, run %i',
    async (run) => {
      const ownSeed = (seed + run) >>> 0
      const world = new SimWorld(ownSeed, { isAllTracked: true })
      const older = world.agent
      const random = seededRandom(ownSeed)
      // Disks of the same sizes with other contents, as of a copied machine that went its own way.
      const sources = world.sources.map(
        ({ deviceName, bytes }) =>
          new SimSource({
            deviceName,
            bytes: randomBytesFrom(random, bytes.length),
            random: seededRandom(ownSeed + 1),
            nowMs: () => world.clock.monotonicMs(),
          }),
      )
      let newer: SimAgent | undefined
      try {
        await world.replicator.start()
        world.startWriters()
        await world.turns(200)
        newer = new SimAgent({ ...world.machine, sources, random }, 2)
        const { engine } = newer
        await world.until(
          'the newer one has copied everything',
          () => engine.report().lastConsistentAtMs !== undefined,
        )
        await world.until(
          'the older one says why it is refused',
          () => older.engine.report().error !== undefined,
        )
        expect(older.engine.report().error?.rawError).toMatch(/a newer one has connected/)
        await world.turns(200)
        await world.stopWriters()
        for (const [index, { bytes }] of sources.entries()) {
          const copy = world.replicator.volumes[index]?.data.view.subarray(0, bytes.length)
          expect(copy?.equals(bytes), `disk ${index} is that of the newer run, SEED=${ownSeed}`).toBe(true)
        }
        expect(older.engine.report().isConnected).toBe(false)
      } finally {
        await newer?.kill()
        await world.end()
      }
    },
  )
})
