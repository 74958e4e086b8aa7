import { describe, expect, it } from 'vitest'
import { advanceLifecycle, lifecycleEvents, lifecycleStates } from '../../../domain/lifecycle.ts'
import {
  advanceDataReplication,
  dataReplicationEvents,
  dataReplicationStates,
  markInitiationStep,
  newInitiationSteps,
} from '../../../domain/replication.ts'

/** Written out by hand, apart from the code's own table, so that a slip in either shows. */
const lifecycleRows = `
PENDING_INSTALLATION INSTALL_AGENT NOT_READY
PENDING_INSTALLATION DISCONNECT DISCONNECTED
DISCOVERED INSTALL_AGENT NOT_READY
DISCOVERED START_REPLICATION NOT_READY
DISCOVERED DISCONNECT DISCONNECTED
STOPPED START_REPLICATION NOT_READY
STOPPED DISCONNECT DISCONNECTED
NOT_READY FINISH_INITIAL_SYNC READY_FOR_TEST
NOT_READY STOP_REPLICATION STOPPED
NOT_READY DISCONNECT DISCONNECTED
READY_FOR_TEST START_TEST TESTING
READY_FOR_TEST STOP_REPLICATION STOPPED
READY_FOR_TEST DISCONNECT DISCONNECTED
TESTING START_TEST TESTING
TESTING FAIL_TEST READY_FOR_TEST
TESTING MARK_READY_FOR_TEST READY_FOR_TEST
TESTING MARK_READY_FOR_CUTOVER READY_FOR_CUTOVER
TESTING DISCONNECT DISCONNECTED
READY_FOR_CUTOVER START_TEST TESTING
READY_FOR_CUTOVER MARK_READY_FOR_TEST READY_FOR_TEST
READY_FOR_CUTOVER START_CUTOVER CUTTING_OVER
READY_FOR_CUTOVER DISCONNECT DISCONNECTED
CUTTING_OVER START_CUTOVER CUTTING_OVER
CUTTING_OVER FAIL_CUTOVER READY_FOR_CUTOVER
CUTTING_OVER MARK_READY_FOR_TEST READY_FOR_TEST
CUTTING_OVER MARK_READY_FOR_CUTOVER READY_FOR_CUTOVER
CUTTING_OVER FINALIZE CUTOVER
CUTTING_OVER DISCONNECT DISCONNECTED
DISCONNECTED INSTALL_AGENT NOT_READY
`
const runningRows = [
  'INITIATING',
  'INITIAL_SYNC',
  'BACKLOG',
  'CREATING_SNAPSHOT',
  'CONTINUOUS',
  'PAUSED',
  'RESCAN',
  'STALLED',
]
  .map(
    (state) => `
${state} BEGIN_INITIAL_SYNC INITIAL_SYNC
${state} BEGIN_RESCAN RESCAN
${state} FALL_BEHIND BACKLOG
${state} CATCH_UP CONTINUOUS
${state} STALL STALLED
${state} PAUSE PAUSED
${state} STOP STOPPED
${state} DISCONNECT DISCONNECTED`,
  )
  .join('')
const replicationRows = `
STOPPED INITIATE INITIATING
STOPPED STOP STOPPED
STOPPED DISCONNECT DISCONNECTED
BACKLOG BEGIN_SNAPSHOT CREATING_SNAPSHOT
CREATING_SNAPSHOT BEGIN_SNAPSHOT CREATING_SNAPSHOT
CONTINUOUS BEGIN_SNAPSHOT CREATING_SNAPSHOT
PAUSED INITIATE INITIATING
STALLED INITIATE INITIATING
DISCONNECTED INITIATE INITIATING
DISCONNECTED DISCONNECT DISCONNECTED
PENDING_SNAPSHOT_SHIPPING STOP STOPPED
PENDING_SNAPSHOT_SHIPPING DISCONNECT DISCONNECTED
SHIPPING_SNAPSHOT STOP STOPPED
SHIPPING_SNAPSHOT DISCONNECT DISCONNECTED
${runningRows}`

function parse(rows: string): Map<string, string> {
  const lines = rows.split('\n').filter((line) => line.trim() !== '')
  return new Map(
    lines.map((line) => line.trim().split(' ')).map(([from, event, to]) => [`${from} ${event}`, to ?? '']),
  )
}

describe.each([
  {
    name: 'lifecycle',
    states: lifecycleStates,
    events: lifecycleEvents,
    advance: advanceLifecycle,
    rows: parse(lifecycleRows),
  },
  {
    name: 'data replication',
    states: dataReplicationStates,
    events: dataReplicationEvents,
    advance: advanceDataReplication,
    rows: parse(replicationRows),
  },
] as {
  name: string
  states: readonly string[]
  events: readonly string[]
  advance: (from: never, event: never) => { ok: boolean; to?: string; reason?: string }
  rows: Map<string, string>
}[])('$name state machine', ({ states, events, advance, rows }) => {
  it('answers every pair of state and event as the table written here', () => {
    const seen = new Set<string>()
    for (const from of states) {
      for (const event of events) {
        const pair = `${from} ${event}`
        const expected = rows.get(pair)
        const actual = advance(from as never, event as never)
        expect({ pair, to: actual.ok ? actual.to : undefined }).toEqual({ pair, to: expected })
        if (!actual.ok) expect(actual.reason).toContain(`Cannot ${event} while ${from}`)
        seen.add(pair)
      }
    }
    for (const pair of rows.keys()) expect(seen).toContain(pair)
  })
})

describe('markInitiationStep()', () => {
  it('closes the open steps before the one that begins and leaves the later ones', () => {
    const steps = markInitiationStep(newInitiationSteps(), 'CREATE_SECURITY_GROUP', 'SKIPPED')
    const later = markInitiationStep(steps, 'BOOT_REPLICATION_SERVER', 'IN_PROGRESS')
    expect(later.map((step) => step.status)).toEqual([
      'SUCCEEDED',
      'SKIPPED',
      'SUCCEEDED',
      'IN_PROGRESS',
      ...Array.from({ length: 7 }, () => 'NOT_STARTED'),
    ])
  })

  it('keeps a failure on the step that failed until that step is tried again', () => {
    const failed = markInitiationStep(newInitiationSteps(), 'CREATE_STAGING_DISKS', 'FAILED')
    expect(failed.find((step) => step.name === 'CREATE_STAGING_DISKS')?.status).toBe('FAILED')
    const again = markInitiationStep(failed, 'CREATE_STAGING_DISKS', 'IN_PROGRESS')
    expect(again.find((step) => step.name === 'CREATE_STAGING_DISKS')?.status).toBe('IN_PROGRESS')
  })
})
