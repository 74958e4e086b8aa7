import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { defaultConsistencyPolicy } from '../../../domain/consistency_policy.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'
import { seedFor } from '../../fixtures/seed.ts'
import { rootOf } from '../replicator/test_agent.ts'
import { SimWorld } from './sim_world.ts'

const seed = seedFor('unread points')

it('points by the policy fail with figures while too much is unread, replication goes on, a launch is possible, and once it is read there are points again', async () => {
  const world = new SimWorld(seed, { isAllTracked: true, diskBytes: [300 * blockSizeBytes] })
  const { replicator } = world
  const [source] = world.sources
  if (source === undefined) throw new Error('There is one disk')
  // A disk that reads slowly, so that much of what is written in pieces is unknown when the barrier comes.
  let turnsPerRead = 0
  const { wrap } = replicator
  replicator.wrap = (parts, diskIndex) => {
    const own = wrap(parts, diskIndex)
    const read = async (into: Uint8Array, offset: number) => {
      for (let left = turnsPerRead; left > 0; left--) await nextTurn()
      return await own.data.read(into, offset)
    }
    return { ...own, data: withCalls(own.data, { read }) }
  }
  const outcomes = () => world.agent.engine.report().pointOutcomes
  const write = async () => {
    for (let count = 0; count < 150; count++) await source.writeSomewhere()
  }
  try {
    replicator.barrierReadMs = 0
    await replicator.start()
    await world.converge()
    turnsPerRead = 40
    world.agent.apply({ consistencyPolicy: { ...defaultConsistencyPolicy, intervalMinutes: 1 } })
    const missed = () => outcomes().find(({ failure }) => failure !== undefined)
    // A staging disk that is read fast enough, by chance, gives a point.
    while (missed() === undefined) {
      const before = outcomes().length
      const dueMs = world.clock.now + 50_000
      await world.until('a point is nearly due', () => world.clock.now > dueMs)
      await write()
      await world.until('it has ended', () => outcomes().length > before)
    }
    expect(missed()).toMatchObject({ isScheduled: true })
    expect(missed()?.failure).toMatch(
      /^\d+\.\d\d GiB of the copy, .* still to be read, at \d+ MB\/s; .* a launch is possible all the same$/,
    )
    await world.converge()
    expect(replicator.volumes[0]?.data.view.subarray(0, source.bytes.length).equals(source.bytes)).toBe(true)

    world.agent.apply({ consistencyPolicy: defaultConsistencyPolicy })
    const unproven = () => replicator.announced.find(({ roots }) => roots.length === 0)
    for (let launch = 1; unproven() === undefined; launch++) {
      const consistencyPointId = `cp-${launch}`
      await write()
      await replicator.setPoint({ consistencyPointId, state: 'REQUESTED' })
      world.agent.applyPoint(consistencyPointId)
      await world.until('the point of the launch is announced', () => replicator.announced.length >= launch)
      expect(replicator.volumes[0]?.data.view.subarray(0, source.bytes.length).equals(source.bytes)).toBe(
        true,
      )
      world.agent.applyPoint(undefined)
      await replicator.setPoint({ consistencyPointId, state: 'TAKEN' })
    }
    expect(unproven()?.unread?.unknownBytes).toBeGreaterThanOrEqual(blockSizeBytes)

    turnsPerRead = 0
    replicator.barrierReadMs = 10_000
    await world.restartReplicator(false)
    const launches = replicator.announced.length
    await replicator.setPoint({ consistencyPointId: 'cp-last', state: 'REQUESTED' })
    world.agent.applyPoint('cp-last')
    await world.until('the next point is announced', () => replicator.announced.length > launches)
    expect(replicator.announced.at(-1)?.roots).toEqual([{ diskIndex: 0, root: rootOf(source.bytes) }])
  } finally {
    await world.end()
  }
})
