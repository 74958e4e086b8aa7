import { describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import { newId } from '../../../domain/ids.ts'
import { noThresholds, withThresholds } from '../../../domain/thresholds.ts'
import { enrolledServer } from '../../fixtures/enrolled_server.ts'

const at = '2026-01-01T00:00:00.000Z'
const limits = { lagMs: 60_000, backlogBytes: 1000 }

/** What is told of `lags`, one after the other, by state. */
function tell(lags: (number | null)[]): { states: unknown[]; server: SourceServer } {
  let server = { ...enrolledServer(newId('sourceServer'), at), outbox: [] } as SourceServer
  for (const lagMs of lags) server = withThresholds(server, { lagMs, backlogBytes: 0 }, limits, at)
  return { states: server.outbox.map(({ detail }) => detail['state']), server }
}

describe('withThresholds()', () => {
  it('tells once that a limit is crossed, and once that all is well below it again', () => {
    expect(tell([0, 60_000, 60_001, 90_000, 59_000, 61_000, 31_000, 30_000, 0, 70_000]).states).toEqual([
      'EXCEEDED',
      'OK',
      'EXCEEDED',
    ])
  })

  it('says which figure, how much and where the limit is', () => {
    const { server } = tell([90_000])
    expect(server.outbox[0]).toMatchObject({
      type: 'THRESHOLD',
      level: 'WARNING',
      message: 'Lag of 90 s is above the limit of 60 s',
      detail: { figure: 'LAG', state: 'EXCEEDED', value: 90_000, limit: 60_000 },
    })
    expect(server.replication.exceeded).toEqual(['LAG'])
  })

  it('says nothing of what nobody knows, and keeps both figures apart', () => {
    expect(tell([90_000, null, null]).server.replication.exceeded).toEqual(['LAG'])
    const both = withThresholds(tell([90_000]).server, { lagMs: 0, backlogBytes: 2000 }, limits, at)
    expect(both.outbox.map(({ detail }) => `${detail['figure']} ${detail['state']}`)).toEqual([
      'LAG EXCEEDED',
      'LAG OK',
      'BACKLOG EXCEEDED',
    ])
    expect(both.replication.exceeded).toEqual(['BACKLOG'])
  })

  it('takes back what it said when there is no limit any more, and says nothing without one', () => {
    const { server } = tell([90_000])
    const off = withThresholds(server, { lagMs: 90_000, backlogBytes: 1e12 }, noThresholds, at)
    expect(off.replication.exceeded).toBeUndefined()
    expect(off.outbox.at(-1)?.message).toBe('Lag of 90 s: there is no limit any more')
    const quiet = { ...off }
    expect(withThresholds(quiet, { lagMs: 9e9, backlogBytes: 9e12 }, noThresholds, at)).toBe(quiet)
  })
})
