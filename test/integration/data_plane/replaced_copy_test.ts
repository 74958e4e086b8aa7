import { expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'
import { seededRandom, seedFor } from '../../fixtures/seed.ts'
import { SimVolume } from '../../unit/replicator/sim_volume.ts'
import { rootOf } from '../replicator/test_agent.ts'
import { distinctSectors } from './sim_source.ts'
import { SimWorld } from './sim_world.ts'

const seed = seedFor('replaced copy')

it('a barrier is not repeated to a replicator whose copy is another one, and nothing is claimed of that copy before it is compared', async () => {
  const world = new SimWorld(seed, { isAllTracked: true, diskBytes: [40 * blockSizeBytes] })
  const { replicator, random } = world
  const [source] = world.sources
  if (source === undefined) throw new Error('There is one disk')
  source.bytes.set(distinctSectors(random, source.bytes.length))
  let isStuck = false
  let isReplaced = false
  const { wrap } = replicator
  replicator.wrap = (parts, diskIndex) => {
    const own = wrap(parts, diskIndex)
    const check = () => (isStuck ? new Promise<void>(() => undefined) : own.data.check())
    // Another file that is not empty.
    const isDataZero = isReplaced ? () => Promise.resolve(false) : own.isDataZero
    return { ...own, isDataZero, data: withCalls(own.data, { check }) }
  }
  try {
    await replicator.start()
    await world.converge()
    isStuck = true
    await replicator.setPoint({ consistencyPointId: 'cp-1', state: 'REQUESTED' })
    world.agent.applyPoint('cp-1')
    await world.until('the barrier is being reached', () =>
      replicator.registry.servers.some(({ hold }) => hold.gate.isClosed),
    )
    replicator.kill(false)
    isStuck = false
    isReplaced = true
    const sizeBytes = source.bytes.length
    const other = new SimVolume({
      sizeBytes,
      sectorBytes: 512,
      cutBytes: 512,
      random: seededRandom(seed + 1),
    })
    const foreign = distinctSectors(random, sizeBytes)
    other.data.view.set(foreign)
    replicator.replaceAll([other], seededRandom(seed + 2))
    const claims: (number | undefined)[] = []
    await replicator.start()
    await world.until('the point is announced', () => {
      if (
        replicator.announced.length === 0 &&
        other.data.view.equals(foreign) &&
        replicator.registry.servers[0]?.isConnected
      )
        claims.push(world.agent.engine.report().lastConsistentAtMs)
      return replicator.announced.length > 0
    })
    expect(other.data.view.equals(source.bytes)).toBe(true)
    expect(replicator.announced.map(({ roots }) => roots)).toEqual([
      [{ diskIndex: 0, root: rootOf(source.bytes) }],
    ])
    expect(claims.length).toBeGreaterThan(0)
    // The first looks may come before the agent has heard of the other copy.
    expect(claims.at(-1)).toBeUndefined()
  } finally {
    await world.end()
  }
})
