import { describe, expect, it } from 'vitest'
import { Coalescer } from '../../../replicator/coalescer.ts'

/** A coalescer whose runs end when the test says so. */
function controlled(): { coalescer: Coalescer; runs: PromiseWithResolvers<void>[] } {
  const runs: PromiseWithResolvers<void>[] = []
  const coalescer = new Coalescer(() => {
    const run = Promise.withResolvers<void>()
    runs.push(run)
    return run.promise
  })
  return { coalescer, runs }
}

describe('Coalescer', () => {
  it('runs once more for all that came while it ran', async () => {
    const { coalescer, runs } = controlled()
    const first = coalescer.run()
    const later = [coalescer.run(), coalescer.run(), coalescer.run()]
    expect(runs).toHaveLength(1)
    runs[0]?.resolve()
    await first
    expect(runs).toHaveLength(2)
    runs[1]?.resolve()
    await Promise.all(later)
    await coalescer.idle()
    expect(runs).toHaveLength(2)
  })

  it('gives a failure to those it was run for, and runs for the others', async () => {
    const { coalescer, runs } = controlled()
    const first = coalescer.run()
    const second = coalescer.run()
    runs[0]?.reject(new Error('No'))
    await expect(first).rejects.toThrow('No')
    runs[1]?.resolve()
    await expect(second).resolves.toBeUndefined()
  })

  it('never runs twice at once, whenever it is asked', async () => {
    let running = 0
    let most = 0
    const coalescer = new Coalescer(async () => {
      most = Math.max(most, ++running)
      await Promise.resolve()
      running--
    })
    const asked: Promise<void>[] = []
    for (let turn = 0; turn < 50; turn++) {
      asked.push(coalescer.run())
      for (let wait = 0; wait < turn % 5; wait++) await Promise.resolve()
    }
    await Promise.all(asked)
    expect(most).toBe(1)
  })

  it('is idle at once when nothing runs', async () => {
    await controlled().coalescer.idle()
  })
})
