import { describe, expect, it } from 'vitest'
import { BlockSet } from '../../../replicator/block_set.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'

const seed = seedFor('block set')

describe('BlockSet', () => {
  it('holds what a set of numbers holds, across the borders of its chunks', () => {
    const random = seededRandom(seed)
    const set = new BlockSet()
    const model = new Set<number>()
    for (let step = 0; step < 3000; step++) {
      const firstBlock = randomInt(random, 0, 3) * 4096 + randomInt(random, -20, 20) + 20
      const blockCount = randomInt(random, 1, 40)
      const isAdded = random() < 0.5
      if (isAdded) set.add({ firstBlock, blockCount })
      else set.delete({ firstBlock, blockCount })
      for (let block = firstBlock; block < firstBlock + blockCount; block++) {
        if (isAdded) model.add(block)
        else model.delete(block)
      }
      if (step % 100 > 0) continue
      const most = randomInt(random, 1, 50)
      const runs = [...set.runs(most)]
      const members = runs.flatMap((run) =>
        Array.from({ length: run.blockCount }, (_, index) => run.firstBlock + index),
      )
      expect(members).toEqual([...model].sort((a, b) => a - b))
      expect(set.size).toBe(model.size)
      expect(runs.every((run) => run.blockCount <= most)).toBe(true)
      const range = { firstBlock: 4090, blockCount: 4100 }
      const inRange = [...set.runsIn(range, 9000)].reduce((sum, run) => sum + run.blockCount, 0)
      expect(inRange).toBe([...model].filter((block) => block >= 4090 && block < 8190).length)
    }
    set.clear()
    expect([...set.runs(1)]).toEqual([])
  })
})
