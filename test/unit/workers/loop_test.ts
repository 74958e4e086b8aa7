import { describe, expect, it } from 'vitest'
import { startLoop } from '../../../workers/loop.ts'
import { until } from '../../fixtures/waiting.ts'

describe('startLoop()', () => {
  it('goes on after a round that fails, and stops after the round under way', async () => {
    const troubles: unknown[] = []
    let rounds = 0
    let isInside = false
    const loop = startLoop(
      1,
      async () => {
        isInside = true
        await Promise.resolve()
        isInside = false
        if (++rounds === 1) throw new Error('First round')
      },
      (error) => troubles.push(error),
    )
    await until('three rounds are done', async () => rounds >= 3)
    await loop.stop()
    const atStop = rounds
    expect(isInside).toBe(false)
    expect(troubles).toEqual([new Error('First round')])
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(rounds).toBe(atStop)
  })
})
