import { describe, expect, it } from 'vitest'
import { RangeLock } from '../../../replicator/range_lock.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'

const seed = seedFor('range lock')

describe('RangeLock', () => {
  it('lets neighbours go at once and makes overlaps wait in order', async () => {
    const lock = new RangeLock()
    const first = lock.acquire(0, 4)
    expect(first.ready).toBeUndefined()
    expect(lock.acquire(4, 2).ready).toBeUndefined()
    const order: string[] = []
    const second = lock.acquire(3, 1)
    const third = lock.acquire(0, 10)
    const secondDone = second.ready?.then(() => order.push('second'))
    const thirdDone = third.ready?.then(() => order.push('third'))
    expect(secondDone).toBeDefined()
    first.release()
    await secondDone
    expect(order).toEqual(['second'])
    second.release()
    expect(thirdDone).toBeDefined()
  })

  it('keeps those behind waiting for those before one that gave up its place', async () => {
    const lock = new RangeLock()
    const first = lock.acquire(0, 4)
    const second = lock.acquire(0, 4)
    const third = lock.acquire(0, 4)
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
    expect(lock.acquire(0, 4).ready).toBeUndefined()
  })

  it('takes memory by the number of those waiting, not by its square', async () => {
    const lock = new RangeLock()
    const before = process.memoryUsage().heapUsed
    const grants = Array.from({ length: 8000 }, (_, index) => lock.acquire(index % 3, 2))
    // By the square it would be over two gigabytes.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024)
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
      const first = randomInt(random, 0, 30)
      const count = randomInt(random, 1, 6)
      const grant = lock.acquire(first, count)
      const place = places++
      const isGivenUp = random() < 0.2
      if (!isGivenUp) {
        await grant.ready
        for (let block = first; block < first + count; block++) {
          expect(owners.get(block)).toBeUndefined()
          owners.set(block, id)
          expect(lastPlace.get(block) ?? -1).toBeLessThan(place)
          lastPlace.set(block, place)
        }
      }
      for (let wait = randomInt(random, 0, 5); wait > 0; wait--) await Promise.resolve()
      if (!isGivenUp) for (let block = first; block < first + count; block++) owners.delete(block)
      grant.release()
      finished++
    })
    await Promise.all(work)
    await lock.drained()
    expect(finished).toBe(600)
  })
})
