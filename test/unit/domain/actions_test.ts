import { describe, expect, it } from 'vitest'
import type { ServerAction } from '../../../domain/actions.ts'
import type { ImageId, MachineId, TaskId } from '../../../domain/ids.ts'
import type { LifecycleState } from '../../../domain/lifecycle.ts'
import type { DataReplicationState } from '../../../domain/replication.ts'
import type { LaunchedInstance, SourceServer } from '../../../domain/source_server.ts'
import {
  applyAction,
  decideAction,
  hasStagingArea,
  nextAction,
  serverActions,
  withStaging,
} from '../../../domain/actions.ts'
import { completeCutover } from '../../../domain/cutover.ts'
import { ConflictError } from '../../../domain/errors.ts'
import { lifecycleStates } from '../../../domain/lifecycle.ts'
import { dataReplicationStates } from '../../../domain/replication.ts'
import { taskKinds } from '../../../domain/task.ts'
import { later, testJobId, testServer } from '../../fixtures/source_server.ts'

const context = { at: later(100), actor: 'admin', jobId: testJobId }

function launched(purpose: LaunchedInstance['purpose']): LaunchedInstance {
  return {
    machineId: 'm-00000000000000001' as MachineId,
    imageId: 'img-00000000000000001' as ImageId,
    snapshotIds: [],
    jobId: testJobId,
    purpose,
    launchedAt: later(50),
    firstBoot: 'SUCCEEDED',
  }
}

function isRefused(server: SourceServer, action: ServerAction): boolean {
  try {
    applyAction(server, action, context)
    return false
  } catch (error) {
    if (error instanceof ConflictError) return true
    throw error
  }
}

const possibleIn = (server: SourceServer) =>
  serverActions.filter((action) => decideAction(server, action).possible)

/** Written out by hand, apart from the code, for a server that is up to date and idle. */
const table: [LifecycleState, DataReplicationState, LaunchedInstance | undefined, ServerAction[]][] = [
  ['NOT_READY', 'INITIAL_SYNC', undefined, ['PAUSE', 'STOP_REPLICATION', 'DISCONNECT']],
  [
    'READY_FOR_TEST',
    'CONTINUOUS',
    undefined,
    ['START_TEST', 'PAUSE', 'STOP_REPLICATION', 'RESCAN', 'VERIFY', 'DISCONNECT'],
  ],
  ['READY_FOR_TEST', 'RESCAN', undefined, ['PAUSE', 'STOP_REPLICATION', 'DISCONNECT']],
  ['READY_FOR_TEST', 'STALLED', undefined, ['PAUSE', 'STOP_REPLICATION', 'RESCAN', 'RETRY', 'DISCONNECT']],
  [
    'READY_FOR_TEST',
    'CONTINUOUS',
    launched('TEST'),
    ['START_TEST', 'TERMINATE', 'PAUSE', 'STOP_REPLICATION', 'RESCAN', 'VERIFY', 'DISCONNECT'],
  ],
  [
    'TESTING',
    'CONTINUOUS',
    launched('TEST'),
    [
      'START_TEST',
      'MARK_READY_FOR_CUTOVER',
      'REVERT_TO_READY_FOR_TEST',
      'PAUSE',
      'RESCAN',
      'VERIFY',
      'DISCONNECT',
    ],
  ],
  [
    'READY_FOR_CUTOVER',
    'CONTINUOUS',
    launched('TEST'),
    [
      'START_TEST',
      'REVERT_TO_READY_FOR_TEST',
      'START_CUTOVER',
      'TERMINATE',
      'PAUSE',
      'RESCAN',
      'VERIFY',
      'DISCONNECT',
    ],
  ],
  [
    'CUTTING_OVER',
    'CONTINUOUS',
    launched('CUTOVER'),
    [
      'REVERT_TO_READY_FOR_TEST',
      'START_CUTOVER',
      'REVERT_TO_READY_FOR_CUTOVER',
      'FINALIZE',
      'PAUSE',
      'RESCAN',
      'VERIFY',
      'DISCONNECT',
    ],
  ],
  ['CUTOVER', 'DISCONNECTED', launched('CUTOVER'), ['ARCHIVE', 'DELETE']],
  ['DISCONNECTED', 'DISCONNECTED', undefined, ['ARCHIVE', 'DELETE']],
]

describe('decideAction()', () => {
  it.each(table)('%s, %s, %o', (lifecycle, replication, launchedInstance, expected) => {
    const server = testServer(
      lifecycle,
      replication,
      launchedInstance === undefined ? {} : { launchedInstance },
    )
    expect(possibleIn(server)).toEqual(expected)
  })

  it('allows nothing that needs the replica or the machine while a machine is launched', () => {
    const busy = testServer('TESTING', 'CONTINUOUS', {
      launchedInstance: launched('TEST'),
      activeTask: { taskId: 'launch-x' as TaskId, kind: 'LAUNCH', startedAt: later(1) },
    })
    expect(possibleIn(busy)).toEqual([])
    expect(decideAction(busy, 'MARK_READY_FOR_CUTOVER')).toEqual({
      possible: false,
      because: `Wait: a machine is being launched since ${later(1)}`,
    })
  })

  it('names the one reason why a replica is not up to date, with what stopped it', () => {
    const seen = `The agent was last seen at ${later(0)}`
    const error = { error: 'AGENT_NOT_SEEN', rawError: seen, whatToDo: 'See whether web-1 is up' } as const
    const base = testServer('READY_FOR_TEST', 'STALLED')
    const because = (server: SourceServer, action: ServerAction) => {
      const decision = decideAction(server, action)
      return decision.possible ? undefined : decision.because
    }
    const stalled = { ...base, replication: { ...base.replication, error } }
    const why = `replication is stalled: ${seen}`
    expect(because(stalled, 'START_TEST')).toBe(`A launch needs a replica that is up to date, and ${why}`)
    expect(because(stalled, 'VERIFY')).toBe(`A verification proves a finished copy, and ${why}`)
    expect(because(stalled, 'RESCAN')).toBeUndefined()
    expect(because(base, 'VERIFY')).toMatch(/and replication is stalled: its events say what stopped it$/)
    const copied = testServer('READY_FOR_TEST', 'INITIAL_SYNC')
    expect(because(copied, 'VERIFY')).toMatch(/and the first copy of the disks is not finished$/)
    const compared = testServer('READY_FOR_TEST', 'RESCAN')
    expect(because(compared, 'RESCAN')).toMatch(/^A rescan compares .* compared again after an interruption/)
    const resumed = testServer('READY_FOR_TEST', 'PAUSED')
    expect(because(resumed, 'START_TEST')).toMatch(/and replication is about to go on after a pause$/)
  })

  it('says that a server being disconnected waits for its agent, as long as it does', () => {
    const gone = applyAction(testServer('READY_FOR_TEST', 'STALLED'), 'DISCONNECT', context)
    const wait = `Wait: the server is being disconnected since ${context.at}`
    const why = `waiting up to 60 s for its agent, last seen at ${later(0)}, to uninstall itself (10 min while it is heard)`
    expect(decideAction(gone, 'DELETE')).toEqual({ possible: false, because: `${wait}, ${why}` })
    const uninstalled = { ...gone, agent: { ...gone.agent, uninstalledAt: later(101) } }
    expect(decideAction(uninstalled, 'ARCHIVE')).toEqual({ possible: false, because: wait })
    const givenUp = { ...gone, agent: { ...gone.agent, givenUpAt: later(701) } }
    expect(decideAction(givenUp, 'DELETE')).toEqual({ possible: false, because: wait })
    const awaited = { ...gone, agent: { ...gone.agent, certificateSerial: '' } }
    expect(decideAction(awaited, 'ARCHIVE')).toEqual({ possible: false, because: wait })
  })

  it('names the first copy as the reason while there is none', () => {
    expect(decideAction(testServer('NOT_READY', 'INITIAL_SYNC'), 'START_TEST')).toMatchObject({
      because: expect.stringContaining('the first copy of the disks is not finished'),
    })
  })

  it('agrees with applyAction() in every state there is, with a reason for every refusal', () => {
    let checked = 0
    for (const lifecycle of lifecycleStates) {
      for (const replication of dataReplicationStates) {
        for (const desired of ['REPLICATE', 'PAUSE', 'UNINSTALL'] as const) {
          for (const kind of [undefined, ...taskKinds]) {
            for (const machine of [undefined, launched('TEST'), launched('CUTOVER')]) {
              const base = testServer(lifecycle, replication)
              const server: SourceServer = {
                ...base,
                agent: { ...base.agent, desired },
                ...(kind === undefined
                  ? {}
                  : { activeTask: { taskId: 'x' as TaskId, kind, startedAt: later(0) } }),
                ...(machine === undefined ? {} : { launchedInstance: machine }),
              }
              for (const action of serverActions) {
                const decision = decideAction(server, action)
                checked++
                if (decision.possible) {
                  const after = applyAction(server, action, context)
                  expect(
                    after.outbox.some((event) => event.type === 'OPERATOR' && event.actor === 'admin'),
                  ).toBe(true)
                  expect(after.outbox.map((event) => event.sequence)).toEqual(
                    after.outbox.map((_, index) => index + 1),
                  )
                } else {
                  if (decision.because.length < 10) throw new Error(`${action} is refused without a reason`)
                  if (!isRefused(server, action)) throw new Error(`${action} is done though it is refused`)
                }
              }
            }
          }
        }
      }
    }
    expect(checked).toBeGreaterThan(30_000)
  })
})

describe('applyAction()', () => {
  it('launches a test: state, moment and work in one value', () => {
    const after = applyAction(testServer('READY_FOR_TEST', 'CONTINUOUS'), 'START_TEST', context)
    expect(after.lifecycle).toMatchObject({
      state: 'TESTING',
      lastTest: { initiated: { apiCallAt: context.at, jobId: testJobId } },
    })
    expect(after.activeTask).toEqual({
      taskId: `launch-${after.sourceServerId}-${testJobId}`,
      kind: 'LAUNCH',
      jobId: testJobId,
      initiatedBy: 'START_TEST',
      startedAt: context.at,
      stateBefore: 'READY_FOR_TEST',
    })
  })

  it('reverts and terminates the machine, if there is one', () => {
    const testing = testServer('TESTING', 'CONTINUOUS', { launchedInstance: launched('TEST') })
    const reverted = applyAction(testing, 'REVERT_TO_READY_FOR_TEST', context)
    expect(reverted.lifecycle).toMatchObject({
      state: 'READY_FOR_TEST',
      lastTest: { reverted: { apiCallAt: context.at } },
    })
    expect(reverted.activeTask).toMatchObject({
      kind: 'TERMINATE',
      initiatedBy: 'TERMINATE',
      jobId: testJobId,
    })
    const without = applyAction(testServer('TESTING', 'CONTINUOUS'), 'REVERT_TO_READY_FOR_TEST', context)
    expect(without.activeTask).toBeUndefined()
  })

  it('reverts a cutover to ready for cutover', () => {
    const server = testServer('CUTTING_OVER', 'CONTINUOUS', { launchedInstance: launched('CUTOVER') })
    const after = applyAction(server, 'REVERT_TO_READY_FOR_CUTOVER', context)
    expect(after.lifecycle).toMatchObject({
      state: 'READY_FOR_CUTOVER',
      lastCutover: { reverted: { apiCallAt: context.at } },
    })
  })

  it('finalizes: nothing that cannot be taken back before the work is done, then all of it', () => {
    const server = testServer('CUTTING_OVER', 'CONTINUOUS', { launchedInstance: launched('CUTOVER') })
    const asked = applyAction(server, 'FINALIZE', context)
    expect(asked).toMatchObject({
      lifecycle: server.lifecycle,
      replication: server.replication,
      agent: { desired: 'REPLICATE' },
      activeTask: { kind: 'FINALIZE', stateBefore: 'CUTTING_OVER' },
    })
    const after = completeCutover(asked, context.at, later(90))
    expect(after).toMatchObject({
      lifecycle: { state: 'CUTOVER', lastCutover: { finalized: { apiCallAt: context.at } } },
      replication: { state: 'DISCONNECTED' },
      agent: { desired: 'UNINSTALL' },
    })
    expect(completeCutover(after, later(100), later(100))).toBe(after)
    expect(() => completeCutover(testServer('TESTING', 'CONTINUOUS'), context.at, context.at)).toThrow(
      /Cannot FINALIZE while TESTING/,
    )
  })

  it('retries: raises the staging area where it is missing, else tells the agent to go on', () => {
    const error = { error: 'AGENT_NOT_SEEN', rawError: 'x', whatToDo: 'y' } as const
    const base = testServer('NOT_READY', 'STALLED')
    const stalled = { ...base, replication: { ...base.replication, error } }
    const again = applyAction(stalled, 'RETRY', context)
    expect(again.replication.state).toBe('INITIATING')
    expect(again.replication.error).toBeUndefined()
    const bare = { ...stalled, disks: stalled.disks.map(({ volumeId: _volume, ...disk }) => disk) }
    expect(hasStagingArea(bare)).toBe(false)
    expect(applyAction(bare, 'RETRY', context).activeTask?.kind).toBe('STAGING')
  })

  it('counts rescans up', () => {
    const once = applyAction(testServer('READY_FOR_TEST', 'CONTINUOUS'), 'RESCAN', context)
    expect(applyAction(once, 'RESCAN', context).replication.rescanEpoch).toBe(2)
  })

  it('names each piece of work differently', () => {
    const server = testServer('NOT_READY', 'STOPPED')
    const first = withStaging(server, later(1)).activeTask?.taskId
    const told = { ...server, eventSequence: server.eventSequence + 1 }
    expect(withStaging(told, later(1)).activeTask?.taskId).not.toBe(first)
  })
})

describe('nextAction()', () => {
  it('leads from the first copy to the archive', () => {
    const path = (
      ['NOT_READY', 'READY_FOR_TEST', 'TESTING', 'READY_FOR_CUTOVER', 'CUTTING_OVER', 'CUTOVER'] as const
    ).map((state) => nextAction(testServer(state, 'CONTINUOUS')))
    expect(path).toEqual([
      'START_TEST',
      'START_TEST',
      'MARK_READY_FOR_CUTOVER',
      'START_CUTOVER',
      'FINALIZE',
      'ARCHIVE',
    ])
    expect(nextAction(testServer('READY_FOR_TEST', 'STALLED'))).toBe('RETRY')
    expect(nextAction(testServer('READY_FOR_CUTOVER', 'STALLED'))).toBe('RETRY')
    expect(nextAction(testServer('TESTING', 'STALLED'))).toBe('MARK_READY_FOR_CUTOVER')
    expect(nextAction(testServer('CUTOVER', 'DISCONNECTED', { isArchived: true }))).toBeUndefined()
  })
})
