import { describe, expect, it } from 'vitest'
import type { HeartbeatReport } from '../../../domain/heartbeat.ts'
import type { ConsistencyPointId, SourceServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { applyAction } from '../../../domain/actions.ts'
import { ConflictError } from '../../../domain/errors.ts'
import { withAgentNotSeen } from '../../../domain/agent_silence.ts'
import { applyHeartbeat, isQuietlyDue, quietWriteIntervalMs } from '../../../domain/heartbeat.ts'
import { lifecycleStates } from '../../../domain/lifecycle.ts'
import { dataReplicationStates } from '../../../domain/replication.ts'
import { sha256 } from '../../../gateway/secrets.ts'
import { later, testJobId, testServer } from '../../fixtures/source_server.ts'

const tracker = { kind: 'tracefs', reason: 'The kernel reports every completed write' }

function report(overrides: Partial<HeartbeatReport> = {}): HeartbeatReport {
  return {
    generation: 1,
    state: 'INITIAL_SYNC',
    isConnected: true,
    lagMs: null,
    disks: [{ diskIndex: 0, replicatedBytes: 500_000_000, rescannedBytes: 0, backlogBytes: 1000, tracker }],
    notes: [],
    ...overrides,
  }
}

const messages = (server: SourceServer) => server.outbox.map((event) => event.message)
const step = (server: SourceServer, name: string) =>
  server.replication.initiation.steps.find((candidate) => candidate.name === name)?.status

describe('applyHeartbeat()', () => {
  it('moves the initiation steps, the state and the first byte forward', () => {
    const before = testServer('NOT_READY', 'INITIATING')
    const connected = applyHeartbeat(before, report({ state: 'INITIATING', disks: [] }), later(1))
    expect(step(connected, 'CONNECT_AGENT_TO_REPLICATION_SERVER')).toBe('SUCCEEDED')
    expect(step(connected, 'START_DATA_TRANSFER')).toBe('NOT_STARTED')
    const copying = applyHeartbeat(connected, report({ firstByteAt: '1999-01-01T00:00:00.000Z' }), later(2))
    expect(copying.replication.state).toBe('INITIAL_SYNC')
    expect(step(copying, 'START_DATA_TRANSFER')).toBe('SUCCEEDED')
    expect(copying.lifecycle.firstByteAt).toBe(later(2))
    expect(copying.disks[0]).toMatchObject({ replicatedBytes: 500_000_000, backlogBytes: 1000, tracker })
    expect(messages(copying)).toContain('The first byte has arrived')
  })

  it('ends the initial sync with the first continuous report, once', () => {
    const ready = applyHeartbeat(
      testServer('NOT_READY', 'INITIAL_SYNC'),
      report({ state: 'CONTINUOUS', lagMs: 500 }),
      later(60),
    )
    expect(ready.lifecycle).toMatchObject({ state: 'READY_FOR_TEST', readyForTestAt: later(60) })
    expect(ready.replication).toMatchObject({ state: 'CONTINUOUS', lastConsistentAt: later(59.5) })
    const again = applyHeartbeat(ready, report({ state: 'CONTINUOUS', lagMs: 0 }), later(120))
    expect(again.lifecycle.readyForTestAt).toBe(later(60))
  })

  it.each(['INITIAL_SYNC', 'RESCAN', 'BACKLOG', 'CONTINUOUS', 'CREATING_SNAPSHOT'] as const)(
    'does not start what was stopped, though the agent still says that it is in %s, and it can be started afterwards',
    (state) => {
      const context = { at: later(10), actor: 'anna', jobId: testJobId }
      const lifecycle = state === 'INITIAL_SYNC' ? 'NOT_READY' : 'READY_FOR_TEST'
      const stopped = applyAction(testServer(lifecycle, state), 'STOP_REPLICATION', context)
      const late = applyHeartbeat(stopped, report({ state, lagMs: 100, timeLeftMs: 1000 }), later(11))
      const ended = applyHeartbeat(
        late,
        report({ state: 'STOPPED', isConnected: false, disks: [] }),
        later(13),
      )
      for (const server of [late, ended]) {
        expect(server.lifecycle.state).toBe('STOPPED')
        expect(server.replication.state).toBe('STOPPED')
        expect(server.agent.desired).toBe('STOP')
        expect(server.replication).not.toHaveProperty('lastConsistentAt')
        expect(server.replication).not.toHaveProperty('etaDateTime')
      }
      const started = applyAction(ended, 'START_REPLICATION', { ...context, at: later(20) })
      expect(started.agent.desired).toBe('REPLICATE')
      expect(started.lifecycle.state).toBe('NOT_READY')
      expect(started.replication.state).not.toBe('CONTINUOUS')
    },
  )

  it('tells that lag and backlog cross their limits, at once and once', () => {
    const limits = { lagMs: 10_000, backlogBytes: 1_000_000 }
    const disks = (backlogBytes: number) => [
      { diskIndex: 0, replicatedBytes: 0, rescannedBytes: 0, backlogBytes, tracker },
    ]
    const steps: [lagMs: number, backlogBytes: number][] = [
      [0, 0],
      [11_000, 2_000_000],
      [12_000, 2_000_000],
      [4000, 600_000],
      [4000, 400_000],
    ]
    let server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    for (const [index, [lagMs, backlog]] of steps.entries()) {
      const own = report({ state: 'CONTINUOUS', lagMs, disks: disks(backlog) })
      server = applyHeartbeat(server, own, later(index), true, limits)
    }
    for (const state of ['INITIAL_SYNC', 'RESCAN'] as const) {
      const own = report({ state, lagMs: null, disks: disks(1e12) })
      server = applyHeartbeat(server, own, later(10), true, limits)
    }
    const told = server.outbox.filter(({ type }) => type === 'THRESHOLD')
    expect(told.map(({ at, detail }) => `${at} ${detail['figure']} ${detail['state']}`)).toEqual([
      `${later(1)} LAG EXCEEDED`,
      `${later(1)} BACKLOG EXCEEDED`,
      `${later(3)} LAG OK`,
      `${later(4)} BACKLOG OK`,
    ])
  })

  it('returns the same object while a report has no news, and writes progress every ten seconds', () => {
    const first = applyHeartbeat(
      testServer('NOT_READY', 'INITIATING'),
      report({ firstByteAt: later(0) }),
      later(1),
    )
    const more = report({
      firstByteAt: later(0),
      disks: [{ diskIndex: 0, replicatedBytes: 600_000_000, rescannedBytes: 0, backlogBytes: 0, tracker }],
    })
    expect(applyHeartbeat(first, more, later(2))).toBe(first)
    expect(applyHeartbeat(first, more, later(7.9))).toBe(first)
    const written = applyHeartbeat(first, more, later(2 + quietWriteIntervalMs / 1000))
    expect(written.disks[0]?.replicatedBytes).toBe(600_000_000)
    expect(written.agent.lastSeenAt).toBe(later(9))
    expect(written.outbox).toEqual(first.outbox)
  })

  it('writes down when the agent was seen after a clock was set back: it must not count as live until then', () => {
    const beat = report({ state: 'CONTINUOUS' })
    const seen = applyHeartbeat(testServer('READY_FOR_TEST', 'CONTINUOUS'), beat, later(3600))
    const back = applyHeartbeat(seen, beat, later(60))
    expect(back.agent.lastSeenAt).toBe(later(60))
    // Clocks of two gateways that differ a little make no more writes.
    expect(applyHeartbeat(back, beat, later(58))).toBe(back)
  })

  it('writes servers that began together at times of their own, a quarter of them in each quarter of the spread', () => {
    const quarters = [0, 0, 0, 0]
    for (let number = 0; number < 1000; number++) {
      const sourceServerId = `s-${sha256(String(number)).slice(0, 17)}` as SourceServerId
      const first = { ...testServer('READY_FOR_TEST', 'CONTINUOUS'), sourceServerId }
      const seen = { ...first, agent: { ...first.agent, lastSeenAt: later(0) } }
      const dueAfter = (seconds: number) => isQuietlyDue(seen, later(seconds))
      expect([dueAfter(6.9), dueAfter(12)]).toEqual([false, true])
      const quarter = quarters.findIndex((_, index) => dueAfter(7 + 1.25 * (index + 1)))
      quarters[quarter] = (quarters[quarter] ?? 0) + 1
    }
    for (const count of quarters) expect(Math.abs(count - 250)).toBeLessThan(60)
  })

  it('puts the writing of progress off while that changes nothing in what is known of the agent', () => {
    const first = applyHeartbeat(
      testServer('NOT_READY', 'INITIATING'),
      report({ firstByteAt: later(0) }),
      later(1),
    )
    const seenAfter = (seconds: number) =>
      applyHeartbeat(first, report({ firstByteAt: later(0) }), later(1 + seconds), true).agent.lastSeenAt
    for (const seconds of [9.9, 10, 12.4, 20, 500]) expect(seenAfter(seconds)).toBe(later(1))
    for (const seconds of [12.5, 15, 19.9]) expect(seenAfter(seconds)).toBe(later(1 + seconds))
  })

  it('refuses another generation than the one running', () => {
    const server = testServer('NOT_READY', 'INITIAL_SYNC')
    expect(() => applyHeartbeat(server, report({ generation: 2 }), later(1))).toThrow(ConflictError)
    const newer = { ...server, agent: { ...server.agent, generation: 2 } }
    expect(() => applyHeartbeat(newer, report({ generation: 1 }), later(1))).toThrow(
      /generation 1 .*generation 2/,
    )
  })

  it('keeps a stall with its reason until blocks flow again', () => {
    const error = {
      error: 'UNSTABLE_NETWORK',
      rawError: 'Connection reset',
      whatToDo: 'See the link',
    } as const
    const stalled = applyHeartbeat(
      testServer('READY_FOR_TEST', 'CONTINUOUS'),
      report({ state: 'STALLED', error }),
      later(1),
    )
    expect(stalled.replication).toMatchObject({ state: 'STALLED', error })
    expect(stalled.outbox).toContainEqual(
      expect.objectContaining({ level: 'ERROR', message: 'Connection reset. See the link' }),
    )
    expect(applyHeartbeat(stalled, report({ state: 'STALLED', error }), later(2))).toBe(stalled)
    const waiting = applyHeartbeat(stalled, report({ state: 'INITIATING' }), later(3))
    expect(waiting.replication).toMatchObject({ state: 'STALLED', error })
    const over = applyHeartbeat(stalled, report({ state: 'RESCAN' }), later(4))
    expect(over.replication.error).toBeUndefined()
    expect(over.replication.state).toBe('RESCAN')
  })

  it('turns notes into events, and stops adding them when the relay is far behind', () => {
    const note = { level: 'WARNING', message: 'Sector 12 of /dev/sda cannot be read' } as const
    const told = applyHeartbeat(testServer('NOT_READY', 'INITIAL_SYNC'), report({ notes: [note] }), later(1))
    expect(told.outbox.some((event) => event.message === note.message && event.level === 'WARNING')).toBe(
      true,
    )
    const many = Array.from({ length: 50 }, () => note)
    let server = told
    for (let round = 0; round < 20; round++)
      server = applyHeartbeat(server, report({ notes: many }), later(2 + round))
    expect(server.outbox.length).toBeLessThan(250)
  })

  it('of a server that swings while no worker relays its events fits its item, and loses no change once there is room', () => {
    const reportOf = (stalled: boolean) =>
      report({
        state: stalled ? 'STALLED' : 'CONTINUOUS',
        lagMs: 100,
        ...(stalled ? { error: longError } : {}),
      })
    const longError = {
      error: 'AGENT_NOT_SEEN',
      rawError: 'x'.repeat(200),
      whatToDo: 'y'.repeat(200),
    } as const
    let server = testServer('READY_FOR_TEST', 'CONTINUOUS')
    let second = 1
    for (; second <= 5000; second++)
      server = applyHeartbeat(server, reportOf(second % 2 === 1), later(second))
    expect(new TextEncoder().encode(JSON.stringify(server)).length).toBeLessThan(399_000)
    expect(Date.parse(server.agent.lastSeenAt ?? '')).toBeGreaterThan(Date.parse(later(4985)))
    const sequences = server.outbox.map(({ sequence }) => sequence)
    expect(sequences).toEqual(sequences.map((_each, index) => (sequences[0] ?? 0) + index))
    const told = { ...server, outbox: [] }
    const wanted = told.replication.state === 'STALLED' ? 'CONTINUOUS' : 'STALLED'
    const moved = applyHeartbeat(told, reportOf(wanted === 'STALLED'), later(second))
    expect(moved.replication.state).toBe(wanted)
    expect(moved.outbox.length).toBeGreaterThan(0)
  })

  it('ends the error of an agent that was not seen, though it is paused when it is heard again', () => {
    const server = testServer('READY_FOR_TEST', 'STALLED')
    const silent = withAgentNotSeen({ ...server, agent: { ...server.agent, desired: 'PAUSE' } }, later(60))
    const heard = applyHeartbeat(silent, report({ state: 'PAUSED', lagMs: null }), later(600))
    expect(heard.replication).toMatchObject({ state: 'PAUSED' })
    expect(heard.replication.error).toBeUndefined()
    expect(heard.outbox.filter(({ detail }) => 'error' in detail).at(-1)).toMatchObject({
      level: 'INFO',
      message: 'The agent is heard again; AGENT_NOT_SEEN is over',
    })
    const network = { error: 'UNSTABLE_NETWORK', rawError: 'lost', whatToDo: 'wait' } as const
    const other = { ...silent, replication: { ...silent.replication, error: network } }
    expect(applyHeartbeat(other, report({ state: 'PAUSED' }), later(600)).replication.error).toEqual(network)
  })

  it('says when tracking of a disk changes', () => {
    const server = applyHeartbeat(testServer('NOT_READY', 'INITIAL_SYNC'), report(), later(1))
    const scanning = report({
      disks: [
        {
          diskIndex: 0,
          replicatedBytes: 0,
          rescannedBytes: 0,
          backlogBytes: 0,
          tracker: { kind: 'scan', reason: 'No tracefs' },
        },
      ],
    })
    expect(messages(applyHeartbeat(server, scanning, later(2)))).toContain(
      'Changes of /dev/sda are tracked by scan: No tracefs',
    )
  })

  it('ignores disks that it does not know and bytes beyond the disk', () => {
    const odd = report({
      disks: [
        { diskIndex: 7, replicatedBytes: 1, rescannedBytes: 0, backlogBytes: 0, tracker },
        { diskIndex: 0, replicatedBytes: 9e15, rescannedBytes: 0, backlogBytes: 0, tracker },
      ],
    })
    const server = applyHeartbeat(testServer('NOT_READY', 'INITIAL_SYNC'), odd, later(1))
    expect(server.disks).toHaveLength(1)
    expect(server.disks[0]?.replicatedBytes).toBe(1_073_741_824)
  })

  it('expires and fails consistency points', () => {
    const request = {
      consistencyPointId: 'cp-00000000000000001' as ConsistencyPointId,
      state: 'REQUESTED',
      requestedAt: later(0),
      expiresAt: later(60),
    } as const
    const server = testServer('TESTING', 'CREATING_SNAPSHOT', { consistencyRequest: request })
    const kept = applyHeartbeat(server, report({ state: 'CONTINUOUS', lagMs: 1 }), later(30))
    expect(kept.replication.state).toBe('CREATING_SNAPSHOT')
    expect(
      applyHeartbeat(server, report({ state: 'CONTINUOUS', lagMs: 1 }), later(60)).consistencyRequest?.state,
    ).toBe('EXPIRED')
    const failure = { consistencyPointId: request.consistencyPointId, reason: 'The freeze took too long' }
    const failed = applyHeartbeat(
      server,
      report({ state: 'CONTINUOUS', consistencyFailure: failure }),
      later(30),
    )
    expect(failed.consistencyRequest).toMatchObject({ state: 'FAILED', failure: failure.reason })
    const other = { ...failure, consistencyPointId: 'cp-00000000000000009' }
    expect(
      applyHeartbeat(server, report({ state: 'CONTINUOUS', consistencyFailure: other }), later(30))
        .consistencyRequest,
    ).toEqual(request)
  })

  it('does not move a server whose disks no longer fit', () => {
    const server = testServer('READY_FOR_TEST', 'STALLED')
    const shrunk = {
      ...server,
      sourceProperties: {
        ...server.sourceProperties,
        disks: [{ deviceName: '/dev/sda', sizeBytes: 512, stableId: 'serial-a', isBootDisk: true }],
      },
    }
    const after = applyHeartbeat(shrunk, report({ state: 'CONTINUOUS', lagMs: 0 }), later(1))
    expect(after.replication).toMatchObject({
      state: 'STALLED',
      error: { error: 'UNSUPPORTED_VM_CONFIGURATION' },
    })
    expect(after.replication.error?.rawError).toContain('smaller than before: 512 bytes, was 1073741824')
  })

  it('never throws and never leaves the tables, whatever is reported in whatever state', () => {
    for (const lifecycle of lifecycleStates) {
      for (const from of dataReplicationStates) {
        for (const state of dataReplicationStates) {
          const server = testServer(lifecycle, from)
          const after = applyHeartbeat(server, report({ state, lagMs: 5 }), later(1))
          const isOver = lifecycle === 'CUTOVER' || lifecycle === 'DISCONNECTED'
          if (isOver) expect(after.replication.state).toBe(from)
          expect([lifecycle, 'READY_FOR_TEST']).toContain(after.lifecycle.state)
          if (after.lifecycle.state !== lifecycle)
            expect([lifecycle, state]).toEqual(['NOT_READY', 'CONTINUOUS'])
          expect(after.agent.lastSeenAt === later(1) || after === server).toBe(true)
        }
      }
    }
  })
})
