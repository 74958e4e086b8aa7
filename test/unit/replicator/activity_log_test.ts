import { describe, expect, it } from 'vitest'
import { ActivityLog } from '../../../replicator/activity_log.ts'

/** Segments `first` to `last`. */
const from = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

/** A log that records what it saves and flushes. */
function recorded(segmentCount = 10): {
  log: ActivityLog
  saved: number[][]
  events: string[]
  flush: { during?: () => void; kept?: number[] }
} {
  const saved: number[][] = []
  const events: string[] = []
  const flush: { during?: () => void; kept?: number[] } = {}
  const log = new ActivityLog({
    segmentCount,
    save: (active) => {
      saved.push(active.toSorted((a, b) => a - b))
      events.push('save')
      return Promise.resolve()
    },
    flush: async (segments) => {
      events.push('flush')
      await Promise.resolve()
      flush.during?.()
      return new Set(segments.filter((segment) => !flush.kept?.includes(segment)))
    },
  })
  return { log, saved, events, flush }
}

describe('ActivityLog', () => {
  it('saves before the first write into a segment and not again', async () => {
    const { log, saved } = recorded()
    const wait = log.begin(from(4, 4))
    expect(wait).toBeDefined()
    await wait
    // Those ahead are marked with it, up to the end of the volume.
    expect(saved).toEqual([[4, 5, 6, 7]])
    expect(log.begin(from(5, 7))).toBeUndefined()
    expect(log.begin(from(4, 8))).toBeDefined()
    await log.idle()
    expect(saved.at(-1)).toEqual([4, 5, 6, 7, 8, 9])
  })

  it('serves many first writes with few saves', async () => {
    const { log, saved } = recorded(1000)
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => await log.begin(from(index * 5, index * 5))),
    )
    expect(saved.length).toBeLessThanOrEqual(2)
  })

  it('takes off what nobody writes to, after data and index are flushed', async () => {
    const { log, saved, events } = recorded()
    await log.begin(from(0, 0))
    log.end(from(0, 0))
    await log.cleanUp()
    expect(events).toEqual(['save', 'flush', 'save'])
    expect(saved.at(-1)).toEqual([])
    expect(log.begin(from(0, 0)), 'the next write marks it again').toBeDefined()
  })

  it('keeps a segment with a write under way, begun or ended during the flush', async () => {
    const { log, saved, flush } = recorded()
    await log.begin(from(0, 0))
    await log.begin(from(4, 4))
    await log.begin(from(8, 8))
    log.end(from(0, 0))
    log.end(from(4, 4))
    flush.during = () => {
      void log.begin(from(4, 4))
      log.end(from(4, 4))
    }
    await log.cleanUp()
    expect(saved.at(-1)).toEqual([4, 8])
    flush.during = () => log.end(from(8, 8))
    await log.cleanUp()
    expect(saved.at(-1)).toEqual([8])
  })

  it('keeps a segment whose part of the index was not flushed whole', async () => {
    const { log, saved, flush } = recorded()
    for (const segment of [0, 4]) {
      await log.begin(from(segment, segment))
      log.end(from(segment, segment))
    }
    flush.kept = [4]
    await log.cleanUp()
    expect(saved.at(-1)).toEqual([4])
    flush.kept = []
    await log.cleanUp()
    expect(saved.at(-1)).toEqual([])
  })

  it('believes nothing of a save that failed', async () => {
    let isFailing = true
    const log = new ActivityLog({
      segmentCount: 4,
      save: () => (isFailing ? Promise.reject(new Error('Full')) : Promise.resolve()),
      flush: (segments) => Promise.resolve(new Set(segments)),
    })
    await expect(log.begin(from(0, 0))).rejects.toThrow('Full')
    isFailing = false
    expect(log.begin(from(0, 0))).toBeDefined()
    await log.idle()
    expect(log.begin(from(0, 0))).toBeUndefined()
  })

  it('does nothing when there is nothing to clean', async () => {
    const { log, events } = recorded()
    await log.cleanUp()
    expect(events).toEqual([])
  })
})
