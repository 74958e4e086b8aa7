import { describe, expect, it } from 'vitest'
import { advanceDataReplication, dataReplicationEvents } from '../../../domain/replication.ts'
import type { DataReplicationState } from '../../../domain/replication.ts'
import type { ReplicationFacts } from '../../../agent/sync/state.ts'
import { calmFacts } from './calm_facts.ts'
import { backlogLimits, nextState, stalledAfterMs, stateOf } from '../../../agent/sync/state.ts'

const calm: ReplicationFacts = {
  ...calmFacts,
  wasConnected: true,
  disconnectedMs: 0,
  current: 'CONTINUOUS',
}

describe('stateOf()', () => {
  it.each([
    ['CONTINUOUS', {}],
    ['PAUSED', { mode: 'PAUSE', hasDiskFault: true }],
    ['STOPPED', { mode: 'STOP' }],
    ['STOPPED', { mode: 'IDLE' }],
    ['STOPPED', { mode: 'UNINSTALL' }],
    ['STALLED', { hasDiskFault: true, wasConnected: false }],
    ['INITIATING', { wasConnected: false }],
    ['STALLED', { disconnectedMs: stalledAfterMs + 1 }],
    ['CONTINUOUS', { disconnectedMs: stalledAfterMs - 1 }],
    ['INITIAL_SYNC', { isInitialSync: true, isRescanning: true }],
    ['RESCAN', { isRescanning: true, isReachingConsistencyPoint: true }],
    ['CREATING_SNAPSHOT', { isReachingConsistencyPoint: true }],
    ['BACKLOG', { lagMs: null }],
    ['BACKLOG', { backlogBytes: backlogLimits.beginBytes + 1 }],
    ['BACKLOG', { lagMs: backlogLimits.beginLagMs + 1 }],
    ['CONTINUOUS', { lagMs: backlogLimits.endLagMs + 1 }],
    ['BACKLOG', { lagMs: backlogLimits.endLagMs + 1, current: 'BACKLOG' }],
    ['CONTINUOUS', { lagMs: backlogLimits.endLagMs - 1, current: 'BACKLOG' }],
  ] as [DataReplicationState, Partial<ReplicationFacts>][])('is %s for %o', (state, facts) => {
    expect(stateOf({ ...calm, ...facts })).toBe(state)
  })
})

describe('nextState()', () => {
  it('takes only legal steps, and reaches what the facts call for', () => {
    const wishes: Partial<ReplicationFacts>[] = [
      {},
      { mode: 'PAUSE' },
      { mode: 'STOP' },
      { wasConnected: false },
      { isInitialSync: true },
      { isRescanning: true },
      { isReachingConsistencyPoint: true },
      { lagMs: null },
      { hasDiskFault: true },
    ]
    const states = [
      'STOPPED',
      'INITIATING',
      'INITIAL_SYNC',
      'RESCAN',
      'CONTINUOUS',
      'BACKLOG',
      'CREATING_SNAPSHOT',
      'PAUSED',
      'STALLED',
    ] as const
    for (const wish of wishes) {
      for (const begin of states) {
        let current: DataReplicationState = begin
        for (let step = 0; step < 3; step++) {
          const next = nextState({ ...calm, ...wish, current })
          const isLegal =
            next === current ||
            dataReplicationEvents.some((event) => {
              const answer = advanceDataReplication(current, event)
              return answer.ok && answer.to === next
            })
          expect({ begin, current, next, isLegal }).toMatchObject({ isLegal: true })
          current = next
        }
        // A run that was connected before is not initiating again.
        if (wish.wasConnected !== false)
          expect({ begin, wish, end: current }).toMatchObject({ end: stateOf({ ...calm, ...wish, current }) })
      }
    }
  })
})
