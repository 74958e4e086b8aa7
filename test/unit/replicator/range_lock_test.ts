import { describe, expect, it } from 'vitest'
import type { Extent } from '../../../domain/units.ts'
import { RangeLock } from '../../../replicator/range_lock.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'

const seed = seedFor('range lock')

/** One extent. */
const at = (firstBlock: number, blockCount: number): Extent[] => [{ firstBlock, blockCount }]

describe('RangeLock', () => {
  it('lets neighbours go at once and makes overlaps wait in order', async () => {
    const lock = new RangeLock()
    const first = lock.acquire(at(0, 4))
    expect(first.ready).toBeUndefined()
    expect(lock.acquire(at(4, 2)).ready).toBeUndefined()
    const order: string[] = []
    const second = lock.acquire(at(3, 1))
    const third = lock.acquire(at(0, 10))
    const secondDone = second.ready?.then(() => order.push('second'))
    const thirdDone = third.ready?.then(() => order.push('third'))
    expect(secondDone).toBeDefined()
    first.release()
    await secondDone
    expect(order).toEqual(['second'])
    second.release()
    expect(thirdDone).toBeDefined()
  })

  it('waits for whoever has any of its extents, and for nobody between them', async () => {
    const lock = new RangeLock()
    const scattered = lock.acquire([...at(2, 1), ...at(6, 2), ...at(20, 1)])
    expect(lock.acquire([...at(0, 2), ...at(3, 3), ...at(8, 12)]).ready).toBeUndefined()
    const behind = lock.acquire([...at(7, 1), ...at(30, 1)])
    expect(behind.ready).toBeDefined()
    scattered.release()
    await behind.ready
  })

  it('keeps those behind waiting for those before one that gave up its place', async () => {
    const lock = new RangeLock()
    const first = lock.acquire(at(0, 4))
    const second = lock.acquire(at(0, 4))
    const third = lock.acquire(at(0, 4))
    let isThirdReady = false
    const thirdDone = third.ready?.then(() => {
      isThirdReady = true
    })
    second.release()
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect(isThirdReady).toBe(false)
    first.release()
    await thirdDone
    third.release()
    await lock.drained()
    expect(lock.acquire(at(0, 4)).ready).toBeUndefined()
  })

  it('takes memory by the number of those waiting, not by its square', async () => {
    const lock = new RangeLock()
    const before = process.memoryUsage().heapUsed
    const grants = Array.from({ length: 8000 }, (_, index) => lock.acquire(at(index % 3, 2)))
    // By the square it would be over two gigabytes. Others may have left garbage that grows the heap.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(512 * 1024 * 1024)
    for (const grant of grants) grant.release()
    await lock.drained()
  })

  it('never lets two work on the same block, and loses nobody', async () => {
    const random = seededRandom(seed)
    const lock = new RangeLock()
    const owners = new Map<number, number>()
    const lastPlace = new Map<number, number>()
    let places = 0
    let finished = 0
    const work = Array.from({ length: 600 }, async (_, id) => {
      for (let wait = randomInt(random, 0, 40); wait > 0; wait--) await Promise.resolve()
      const extents: Extent[] = []
      for (let next = randomInt(random, 0, 30); next < 36 && extents.length < 4;) {
        const blockCount = randomInt(random, 1, 6)
        extents.push({ firstBlock: next, blockCount })
        next += blockCount + randomInt(random, 0, 20)
      }
      const blocks = extents.flatMap(({ firstBlock, blockCount }) =>
        Array.from({ length: blockCount }, (_unused, index) => firstBlock + index),
      )
      const grant = lock.acquire(extents)
      const place = places++
      const isGivenUp = random() < 0.2
      if (!isGivenUp) {
        await grant.ready
        for (const block of blocks) {
          expect(owners.get(block)).toBeUndefined()
          owners.set(block, id)
          expect(lastPlace.get(block) ?? -1).toBeLessThan(place)
          lastPlace.set(block, place)
        }
      }
      for (let wait = randomInt(random, 0, 5); wait > 0; wait--) await Promise.resolve()
      if (!isGivenUp) for (const block of blocks) owners.delete(block)
      grant.release()
      finished++
    })
    await Promise.all(work)
    await lock.drained()
    expect(finished).toBe(600)
  })
})
