import { describe, expect, it } from 'vitest'
import type { Figures } from '../../../views/figures.ts'
import { backlogBytes, isSilent, lagMs, liveState, serverProgress } from '../../../views/figures.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const size = 1_073_741_824
const now = new Date(later(13))
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
    expect(serverProgress(server, undefined, now).share).toBe(0)
    expect(serverProgress(server, figures(), now)).toEqual({
      doneBytes: size / 2,
      totalBytes: size,
      share: 0.5,
    })
    const over = figures({
      disks: [{ diskIndex: 0, sizeBytes: size, scannedBytes: size * 3, backlogBytes: 0 }],
    })
    expect(serverProgress(server, over, now).share).toBe(1)
  })

  it('tells the time left that the agent estimated, and none when it estimated none or is silent', () => {
    const base = testServer('NOT_READY', 'INITIAL_SYNC')
    const server = (etaDateTime: string | undefined, lastSeenAt: string) => ({
      ...base,
      agent: { ...base.agent, lastSeenAt },
      replication: { ...base.replication, ...(etaDateTime === undefined ? {} : { etaDateTime }) },
    })
    const left = (eta: string | undefined, seenAt = later(13)) =>
      serverProgress(server(eta, seenAt), figures(), now).millisecondsLeft
    expect(left(later(23))).toBe(10_000)
    expect(left(later(12))).toBe(0)
    expect(left(undefined)).toBeUndefined()
    expect(left(later(23), later(-60))).toBeUndefined()
  })

  it('is nothing for a server without disks', () => {
    expect(serverProgress(testServer('NOT_READY', 'INITIATING', { disks: [] }), undefined, now).share).toBe(0)
  })
})

describe('liveState()', () => {
  it('believes the live figures unless something stands in the way', () => {
    expect(liveState(testServer('NOT_READY', 'INITIATING'), figures())).toBe('INITIAL_SYNC')
    expect(liveState(testServer('NOT_READY', 'STALLED'), figures())).toBe('STALLED')
    expect(liveState(testServer('READY_FOR_TEST', 'PAUSED'), figures())).toBe('PAUSED')
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
