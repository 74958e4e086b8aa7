import { describe, expect, it } from 'vitest'
import type { Figures } from '../../../views/figures.ts'
import { backlogBytes, isSilent, lagMs, liveState, serverProgress } from '../../../views/figures.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const size = 1_073_741_824
const figures = (overrides: Partial<Figures> = {}): Figures => ({
  state: 'INITIAL_SYNC',
  lagMs: null,
  backlogBytes: 0,
  bytesPerSecond: 0,
  wireBytes: 0,
  disks: [{ diskIndex: 0, sizeBytes: size, scannedBytes: size / 2, backlogBytes: 0 }],
  ...overrides,
})

describe('serverProgress()', () => {
  it('takes the live position while copying, and never goes beyond the disk', () => {
    const server = testServer('NOT_READY', 'INITIAL_SYNC')
    expect(serverProgress(server, undefined).share).toBe(0)
    expect(serverProgress(server, figures())).toEqual({ doneBytes: size / 2, totalBytes: size, share: 0.5 })
    const over = figures({
      disks: [{ diskIndex: 0, sizeBytes: size, scannedBytes: size * 3, backlogBytes: 0 }],
    })
    expect(serverProgress(server, over).share).toBe(1)
  })

  it('estimates the time left from what flows', () => {
    const server = testServer('NOT_READY', 'INITIAL_SYNC')
    expect(serverProgress(server, figures({ bytesPerSecond: size / 20 })).millisecondsLeft).toBe(10_000)
    const behind = figures({ state: 'BACKLOG', backlogBytes: 5000, bytesPerSecond: 1000 })
    expect(serverProgress(testServer('READY_FOR_TEST', 'BACKLOG'), behind).millisecondsLeft).toBe(5000)
  })

  it('is nothing for a server without disks', () => {
    expect(serverProgress(testServer('NOT_READY', 'INITIATING', { disks: [] }), undefined).share).toBe(0)
  })
})

describe('liveState()', () => {
  it('believes the live figures unless something stands in the way', () => {
    expect(liveState(testServer('NOT_READY', 'INITIATING'), figures())).toBe('INITIAL_SYNC')
    expect(liveState(testServer('NOT_READY', 'STALLED'), figures())).toBe('STALLED')
    expect(liveState(testServer('NOT_READY', 'INITIATING'), undefined)).toBe('INITIATING')
  })
})

describe('lagMs(), backlogBytes(), isSilent()', () => {
  it('count from the last consistent moment where nobody reports', () => {
    const base = testServer('READY_FOR_TEST', 'CONTINUOUS')
    const server = { ...base, replication: { ...base.replication, lastConsistentAt: later(10) } }
    expect(lagMs(server, undefined, new Date(later(13)))).toBe(3000)
    expect(lagMs(server, figures({ lagMs: 42 }), new Date(later(13)))).toBe(42)
    expect(
      lagMs(
        { ...server, lifecycle: { ...server.lifecycle, state: 'CUTOVER' } },
        undefined,
        new Date(later(13)),
      ),
    ).toBeNull()
    expect(backlogBytes(server, figures({ backlogBytes: 7 }))).toBe(7)
    expect(backlogBytes(server, undefined)).toBe(0)
  })

  it('call an agent silent after a minute, unless it was told to go', () => {
    const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    expect(isSilent(server, new Date(later(60)))).toBe(false)
    expect(isSilent(server, new Date(later(61)))).toBe(true)
    expect(isSilent(testServer('CUTOVER', 'DISCONNECTED'), new Date(later(61)))).toBe(false)
    expect(
      isSilent({ ...server, agent: { ...server.agent, uninstalledAt: later(5) } }, new Date(later(61))),
    ).toBe(false)
  })
})
