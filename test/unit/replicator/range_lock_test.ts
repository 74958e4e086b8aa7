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

  it('never lets two work on the same block, and loses nobody', async () => {
    const random = seededRandom(seed)
    const lock = new RangeLock()
    const owners = new Map<number, number>()
    let finished = 0
    const work = Array.from({ length: 300 }, async (_, id) => {
      for (let wait = randomInt(random, 0, 20); wait > 0; wait--) await Promise.resolve()
      const first = randomInt(random, 0, 30)
      const count = randomInt(random, 1, 6)
      const grant = lock.acquire(first, count)
      await grant.ready
      for (let block = first; block < first + count; block++) {
        expect(owners.get(block)).toBeUndefined()
        owners.set(block, id)
      }
      for (let wait = randomInt(random, 0, 5); wait > 0; wait--) await Promise.resolve()
      for (let block = first; block < first + count; block++) owners.delete(block)
      grant.release()
      finished++
    })
    await Promise.all(work)
    await lock.drained()
    expect(finished).toBe(300)
  })
})
