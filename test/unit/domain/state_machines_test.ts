import { describe, expect, it } from 'vitest'
import { ConflictError } from '../../../domain/errors.ts'
import {
  advanceInitiationStep,
  initiationStepEvents,
  initiationStepStatuses,
  markInitiationStep,
  newInitiationSteps,
} from '../../../domain/initiation.ts'
import { advanceJob, jobStatuses, jobStatusEvents } from '../../../domain/job.ts'
import { advanceLaunch, launchEvents, launchStatuses } from '../../../domain/launch_status.ts'
import { advanceLifecycle, lifecycleEvents, lifecycleStates } from '../../../domain/lifecycle.ts'
import {
  advanceDataReplication,
  dataReplicationEvents,
  dataReplicationStates,
} from '../../../domain/replication.ts'

/** Written out by hand, apart from the code's own table, so that a slip in either shows. */
const lifecycleRows = `
PENDING_INSTALLATION INSTALL_AGENT NOT_READY
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

const jobRows = `
PENDING BEGIN STARTED
PENDING COMPLETE COMPLETED
STARTED BEGIN STARTED
STARTED COMPLETE COMPLETED
`
const launchRows = `
PENDING BEGIN IN_PROGRESS
PENDING FAIL FAILED
IN_PROGRESS BEGIN IN_PROGRESS
IN_PROGRESS SUCCEED LAUNCHED
IN_PROGRESS FAIL FAILED
IN_PROGRESS TERMINATE TERMINATED
LAUNCHED TERMINATE TERMINATED
TERMINATED TERMINATE TERMINATED
`
const initiationStepRows = `
NOT_STARTED BEGIN IN_PROGRESS
NOT_STARTED SUCCEED SUCCEEDED
NOT_STARTED FAIL FAILED
NOT_STARTED SKIP SKIPPED
IN_PROGRESS BEGIN IN_PROGRESS
IN_PROGRESS SUCCEED SUCCEEDED
IN_PROGRESS FAIL FAILED
SUCCEEDED BEGIN IN_PROGRESS
SUCCEEDED SUCCEED SUCCEEDED
SUCCEEDED FAIL FAILED
SUCCEEDED SKIP SKIPPED
FAILED BEGIN IN_PROGRESS
FAILED SUCCEED SUCCEEDED
FAILED FAIL FAILED
SKIPPED SKIP SKIPPED
`

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
  {
    name: 'job status',
    states: jobStatuses,
    events: jobStatusEvents,
    advance: advanceJob,
    rows: parse(jobRows),
  },
  {
    name: 'launch status',
    states: launchStatuses,
    events: launchEvents,
    advance: advanceLaunch,
    rows: parse(launchRows),
  },
  {
    name: 'initiation step status',
    states: initiationStepStatuses,
    events: initiationStepEvents,
    advance: advanceInitiationStep,
    rows: parse(initiationStepRows),
  },
] as {
  name: string
  states: readonly string[]
  events: readonly string[]
  advance: (
    from: never,
    event: never,
  ) => { ok: boolean; to?: string; from?: string; event?: string; reason?: string }
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
        if (!actual.ok) {
          expect(actual).toMatchObject({ from, event })
          expect(actual.reason).toContain(`Cannot ${event} while ${from}; `)
        }
        seen.add(pair)
      }
    }
    expect(seen.size).toBe(states.length * events.length)
    for (const pair of rows.keys()) expect(seen).toContain(pair)
  })
})

describe('markInitiationStep()', () => {
  it('closes the open steps before the one that begins and leaves the later ones', () => {
    const steps = markInitiationStep(newInitiationSteps(), 'CREATE_SECURITY_GROUP', 'SKIP')
    const later = markInitiationStep(steps, 'BOOT_REPLICATION_SERVER', 'BEGIN')
    expect(later.map((step) => step.status)).toEqual([
      'SUCCEEDED',
      'SKIPPED',
      'SUCCEEDED',
      'IN_PROGRESS',
      ...Array.from({ length: 7 }, () => 'NOT_STARTED'),
    ])
  })

  it('keeps a failure on the step that failed until that step is tried again', () => {
    const failed = markInitiationStep(newInitiationSteps(), 'CREATE_STAGING_DISKS', 'FAIL')
    expect(failed.find((step) => step.name === 'CREATE_STAGING_DISKS')?.status).toBe('FAILED')
    const again = markInitiationStep(failed, 'CREATE_STAGING_DISKS', 'BEGIN')
    expect(again.find((step) => step.name === 'CREATE_STAGING_DISKS')?.status).toBe('IN_PROGRESS')
  })

  it('takes what a worker tells again after a crash as it took it the first time', () => {
    const once = markInitiationStep(newInitiationSteps(), 'DOWNLOAD_REPLICATION_SOFTWARE', 'SKIP')
    expect(markInitiationStep(once, 'DOWNLOAD_REPLICATION_SOFTWARE', 'SKIP')).toEqual(once)
    const begun = markInitiationStep(once, 'CREATE_STAGING_DISKS', 'BEGIN')
    expect(markInitiationStep(begun, 'CREATE_STAGING_DISKS', 'BEGIN')).toEqual(begun)
  })

  it('lets a new attempt go through the steps that a connected agent has closed before it', () => {
    let steps = markInitiationStep(newInitiationSteps(), 'CONNECT_AGENT_TO_REPLICATION_SERVER', 'SUCCEED')
    steps = markInitiationStep(steps, 'CREATE_SECURITY_GROUP', 'SKIP')
    steps = markInitiationStep(steps, 'LAUNCH_REPLICATION_SERVER', 'BEGIN')
    expect(steps.slice(0, 4).map((step) => step.status)).toEqual([
      'SUCCEEDED',
      'SKIPPED',
      'IN_PROGRESS',
      'SUCCEEDED',
    ])
    steps = markInitiationStep(steps, 'LAUNCH_REPLICATION_SERVER', 'FAIL')
    expect(steps[2]?.status).toBe('FAILED')
  })

  it('refuses to fail a step that was skipped, with step, status and event', () => {
    const skipped = markInitiationStep(newInitiationSteps(), 'CREATE_SECURITY_GROUP', 'SKIP')
    const fail = () => markInitiationStep(skipped, 'CREATE_SECURITY_GROUP', 'FAIL')
    expect(fail).toThrow(ConflictError)
    expect(fail).toThrow(
      'Cannot FAIL while SKIPPED; possible now: SKIP (initiation step CREATE_SECURITY_GROUP)',
    )
  })
})
