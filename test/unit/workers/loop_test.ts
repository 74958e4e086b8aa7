import { describe, expect, it } from 'vitest'
import { startLoop } from '../../../workers/loop.ts'
import { until } from '../../fixtures/waiting.ts'

describe('startLoop()', () => {
  it('goes on after rounds that fail, tells each reason once until all is well, and stops after the round under way', async () => {
    const troubles: unknown[] = []
    let rounds = 0
    let isInside = false
    const loop = startLoop(
      1,
      async () => {
        isInside = true
        await Promise.resolve()
        isInside = false
        rounds++
        if (rounds <= 3) throw new Error('No store')
        if (rounds === 4) throw new Error('No cloud')
        if (rounds === 6) throw new Error('No cloud')
      },
      (error) => troubles.push(error),
    )
    await until('seven rounds are done', async () => rounds >= 7)
    await loop.stop()
    const atStop = rounds
    expect(isInside).toBe(false)
    expect(troubles.map(String)).toEqual(['Error: No store', 'Error: No cloud', 'Error: No cloud'])
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(rounds).toBe(atStop)
  })
})
