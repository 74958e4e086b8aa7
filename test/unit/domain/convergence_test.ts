import { describe, expect, it } from 'vitest'
import type { HeartbeatReport } from '../../../domain/heartbeat.ts'
import type { DataReplicationState } from '../../../domain/replication.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { convergenceError } from '../../../domain/convergence.ts'
import { applyHeartbeat } from '../../../domain/heartbeat.ts'
import { dataReplicationStates } from '../../../domain/replication.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const pace = (changedMbs: number, durableMbs: number, minutes = 3) => ({
  measuredMs: minutes * 60_000,
  changedBytesPerSecond: changedMbs * 1e6,
  durableBytesPerSecond: durableMbs * 1e6,
})

/** In a first copy: what is left becomes less by so much, and of it so many seconds' worth of what is sent waits. */
const scan = (changedMbs: number, shrinkMbs: number, waitingSeconds = 60, minutes = 5) => ({
  ...pace(changedMbs, 10, minutes),
  rest: {
    bytes: 50e9,
    waitingBytes: waitingSeconds * 10e6,
    shrinkBytesPerSecond: shrinkMbs * 1e6,
  },
})

const known = convergenceError('BACKLOG', pace(20, 10), undefined)

describe('convergenceError()', () => {
  it.each([
    ['more changes than is copied', 'BACKLOG', pace(20, 10), false, true],
    ['as much', 'BACKLOG', pace(10, 10), false, true],
    ['less', 'BACKLOG', pace(9.9, 10), false, false],
    ['it was said, and little less changes', 'BACKLOG', pace(9.2, 10), true, true],
    ['it was said, and much less changes', 'BACKLOG', pace(8.9, 10), true, false],
    ['it was measured for a minute', 'BACKLOG', pace(20, 10, 1), false, false],
    ['it was said, and is measured anew', 'BACKLOG', pace(0, 10, 1), true, true],
    ['it was said, and nobody measures', 'BACKLOG', undefined, true, true],
    ['the replica is up to date', 'CONTINUOUS', pace(20, 10), true, false],
    ['the first copy becomes no less', 'INITIAL_SYNC', scan(20, 0), false, true],
    ['a rescan becomes more', 'RESCAN', scan(20, -3), false, true],
    ['the first copy becomes less by next to nothing', 'INITIAL_SYNC', scan(20, 0.4), false, true],
    ['the first copy becomes less', 'INITIAL_SYNC', scan(20, 0.6), false, false],
    ['it was said, and the first copy becomes little less', 'INITIAL_SYNC', scan(20, 0.9), true, true],
    ['it was said, and the first copy becomes less', 'INITIAL_SYNC', scan(20, 1.1), true, false],
    ['the link carries what changes, and reading takes long', 'RESCAN', scan(10, 0, 29), false, false],
    ['it was said, and next to nothing waits', 'RESCAN', scan(10, 0, 9), true, false],
    ['less changes than is copied, and reading takes long', 'RESCAN', scan(8, -1), true, false],
    ['a first copy was measured for four minutes', 'INITIAL_SYNC', scan(20, -3, 60, 4), false, false],
    ['it was said, and the first copy has no figures', 'INITIAL_SYNC', pace(20, 10), true, true],
    ['the first copy has no figures', 'INITIAL_SYNC', pace(20, 10), false, false],
    ['nothing changes and nothing is copied', 'BACKLOG', pace(0, 0), false, false],
    ['nothing is copied at all', 'BACKLOG', pace(1, 0), false, true],
  ] as const)('says it or not when %s', (_, state, measured, isKnown, expected) => {
    expect(convergenceError(state, measured, isKnown ? known : undefined) !== undefined).toBe(expected)
  })

  it('names both speeds, the time, and what can be done', () => {
    expect(known?.rawError).toContain('20.0 MB/s')
    expect(known?.rawError).toContain('10.0 MB/s')
    expect(known?.rawError).toContain('3 minutes')
    expect(known?.whatToDo).toContain('bandwidth')
  })

  it('is about being behind alone', () => {
    const saying = dataReplicationStates.filter(
      (state) => convergenceError(state, pace(2, 1), known) !== undefined,
    )
    expect(saying.sort()).toEqual(['BACKLOG', 'CREATING_SNAPSHOT', 'INITIAL_SYNC', 'RESCAN'])
  })
})

describe('applyHeartbeat()', () => {
  const report = (state: DataReplicationState, rest: Partial<HeartbeatReport> = {}): HeartbeatReport => ({
    generation: 1,
    state,
    isConnected: true,
    lagMs: 60_000,
    disks: [],
    notes: [],
    ...rest,
  })
  const messages = (server: SourceServer) => server.outbox.map(({ message }) => message).join('\n')

  it('says that a server cannot catch up once, keeps the figures fresh, and says when it is over', () => {
    const server = testServer('READY_FOR_TEST', 'BACKLOG')
    const said = applyHeartbeat(server, report('BACKLOG', { pace: pace(20, 10) }), later(10))
    expect(said.replication.error?.error).toBe('NOT_CONVERGING')
    const goes = applyHeartbeat(said, report('BACKLOG', { pace: pace(30, 12, 4) }), later(30))
    expect(goes.replication.error?.rawError).toContain('30.0 MB/s')
    expect(goes.outbox.length).toBe(said.outbox.length)
    const over = applyHeartbeat(goes, report('BACKLOG', { pace: pace(1, 12) }), later(50))
    expect(over.replication.error).toBeUndefined()
    expect(messages(over)).toContain('NOT_CONVERGING is over')
  })

  it('says what is left of a first copy, and another fault of that name instead as soon as the agent sees it', () => {
    const server = testServer('NOT_READY', 'INITIAL_SYNC')
    const said = applyHeartbeat(server, report('INITIAL_SYNC', { pace: scan(20, -1) }), later(10))
    expect(said.replication.error?.rawError).toBe(
      'Blocks change at 20.0 MB/s, and 10.0 MB/s of them become durable in the replica, over the last 5 minutes; ' +
        '50.0 GB are left to copy, and do not become less',
    )
    const sector = {
      error: 'NOT_CONVERGING',
      rawError: 'Cannot read sector 8 of /dev/sda',
      whatToDo: 'Copy the disk',
    } as const
    const bad = applyHeartbeat(said, report('INITIAL_SYNC', { pace: scan(20, -1), error: sector }), later(20))
    expect(bad.replication.error).toEqual(sector)
    expect(messages(bad)).toContain('Cannot read sector 8 of /dev/sda. Copy the disk')
    const mended = applyHeartbeat(bad, report('INITIAL_SYNC', { pace: scan(1, 9, 60, 1) }), later(30))
    expect(mended.replication.error).toBeUndefined()
  })

  it('keeps what the agent says is wrong before that', () => {
    const own = { error: 'UNSTABLE_NETWORK', rawError: 'The link broke', whatToDo: 'Mend it' } as const
    const server = testServer('READY_FOR_TEST', 'BACKLOG')
    const said = applyHeartbeat(server, report('BACKLOG', { pace: pace(20, 10), error: own }), later(10))
    expect(said.replication.error).toEqual(own)
  })

  it('knows when it will be done while the agent knows, and why reading is slow', () => {
    const server = testServer('NOT_READY', 'INITIAL_SYNC')
    const readingSlowed = 'Writes to /dev/sda take 40 ms'
    const knows = applyHeartbeat(
      server,
      report('INITIAL_SYNC', { timeLeftMs: 60_000, readingSlowed }),
      later(20),
    )
    expect(knows.replication).toMatchObject({ etaDateTime: later(80), readingSlowed })
    const nothing = applyHeartbeat(knows, report('INITIAL_SYNC', { timeLeftMs: null }), later(40))
    expect(nothing.replication).not.toHaveProperty('etaDateTime')
    expect(nothing.replication).not.toHaveProperty('readingSlowed')
  })
})
