/**
 * What an operator can do to a source server: which actions there are, whether each is possible now, why not when it isn't. Pages draw
 * their buttons from it and the same decision refuses the call, so the two never disagree. Rules: MGN service model, section 1.5 of the
 * API notes.
 * @module
 */
import type { Decision } from './decision.ts'
import type { LifecycleEvent, LifecycleState } from './lifecycle.ts'
import type { LaunchPurpose } from './post_launch_action.ts'
import type { SourceServer } from './source_server.ts'
import { leavingInWords } from './agent_leaving.ts'
import { possible, refuse } from './decision.ts'
import { unreachable } from './errors.ts'
import { advanceLifecycle } from './lifecycle.ts'
import { advanceDataReplication } from './replication.ts'
import { closedGate } from './action_gate.ts'
import { decideLaunchable, inconsistencyInWords } from './launchable.ts'
import { openVerification } from './verification.ts'
import { workName } from './work.ts'

export type { Decision } from './decision.ts'

/** Every action, in the order in which a migration meets them. */
export const serverActions = [
  'START_TEST',
  'MARK_READY_FOR_CUTOVER',
  'REVERT_TO_READY_FOR_TEST',
  'START_CUTOVER',
  'REVERT_TO_READY_FOR_CUTOVER',
  'FINALIZE',
  'TERMINATE',
  'PAUSE',
  'RESUME',
  'STOP_REPLICATION',
  'START_REPLICATION',
  'RESCAN',
  'VERIFY',
  'RETRY',
  'DISCONNECT',
  'ARCHIVE',
  'DELETE',
] as const
export type ServerAction = (typeof serverActions)[number]

function decideIdle(server: SourceServer): Decision {
  const work = server.activeTask
  if (work === undefined) return possible
  const leaving = leavingInWords(server)
  return refuse(
    `Wait: ${workName(work.kind)} since ${work.startedAt}${leaving === undefined ? '' : `, ${leaving}`}`,
  )
}

/** The lifecycle states as an operator reads them. */
const stateInWords: Record<LifecycleState, string> = {
  PENDING_INSTALLATION: 'waiting for its agent',
  DISCOVERED: 'only discovered',
  STOPPED: 'stopped',
  NOT_READY: 'not ready: its first copy is not finished',
  READY_FOR_TEST: 'ready for test',
  TESTING: 'being tested',
  READY_FOR_CUTOVER: 'ready for cutover',
  CUTTING_OVER: 'cutting over',
  CUTOVER: 'cut over: its migration is complete',
  DISCONNECTED: 'disconnected',
}

function decideLifecycle(server: SourceServer, event: LifecycleEvent, purpose: string): Decision {
  const from = server.lifecycle.state
  if (advanceLifecycle(from, event).ok) return possible
  return refuse(`${purpose}; this server is ${stateInWords[from]}`)
}

/** The first refusal, or possible. Checks are in the order in which they help the reader most. */
function all(...decisions: Decision[]): Decision {
  return decisions.find((decision) => !decision.possible) ?? possible
}

function when(condition: boolean, because: string): Decision {
  return condition ? possible : refuse(because)
}

function isOver(server: SourceServer): boolean {
  return server.lifecycle.state === 'CUTOVER' || server.lifecycle.state === 'DISCONNECTED'
}

/** What is done to a server whose agent never came. */
const withoutAgent: ReadonlySet<ServerAction> = new Set(['ARCHIVE', 'DELETE'])

/** Why the rest is not. Disconnected, the server would no longer be awaited, and its agent would become a second server. */
function refuseAwaited(action: ServerAction): Decision {
  const state = 'This server was imported and is waiting for its agent'
  return refuse(
    action === 'DISCONNECT'
      ? `${state}, which is not installed: there is nothing to disconnect. Delete the server, or install its agent`
      : `${state}: install that first`,
  )
}

/** Whether what must succeed on a launched machine has. */
function decideGate(server: SourceServer, purpose: LaunchPurpose): Decision {
  const because = closedGate(server, purpose)
  return because === undefined ? possible : refuse(because)
}

/** Whether `action` is possible for `server` now. Pure. */
export function decideAction(server: SourceServer, action: ServerAction): Decision {
  const idle = decideIdle(server)
  const { state } = server.lifecycle
  if (state === 'PENDING_INSTALLATION' && !withoutAgent.has(action)) return refuseAwaited(action)
  const replicates = when(!isOver(server), `Replication is over; this server is ${stateInWords[state]}`)
  const notLaunching = when(
    server.activeTask?.kind !== 'LAUNCH',
    'Wait: a machine is being launched, and that needs the replica',
  )
  switch (action) {
    case 'START_TEST':
      return all(
        // Of a server that is still copied the copy is the reason to name.
        state === 'NOT_READY' ? decideLaunchable(server) : possible,
        decideLifecycle(
          server,
          'START_TEST',
          'A test is launched from ready for test, testing or ready for cutover',
        ),
        idle,
        decideLaunchable(server),
      )
    case 'START_CUTOVER':
      return all(
        decideLifecycle(
          server,
          'START_CUTOVER',
          'A cutover is launched once the server is marked ready for cutover',
        ),
        idle,
        decideLaunchable(server),
      )
    case 'MARK_READY_FOR_CUTOVER':
      return all(
        when(
          state === 'TESTING',
          `Only a server being tested is marked ready; this one is ${stateInWords[state]}`,
        ),
        idle,
        when(server.launchedInstance !== undefined, 'The test machine has not been launched'),
        decideGate(server, 'TEST'),
      )
    case 'REVERT_TO_READY_FOR_TEST':
      return all(
        decideLifecycle(
          server,
          'MARK_READY_FOR_TEST',
          'Only a test or a cutover that is not final is reverted',
        ),
        idle,
      )
    case 'REVERT_TO_READY_FOR_CUTOVER':
      return all(
        when(
          state === 'CUTTING_OVER',
          `Only a cutover that is not final is reverted; this server is ${stateInWords[state]}`,
        ),
        idle,
      )
    case 'FINALIZE':
      return all(
        decideLifecycle(server, 'FINALIZE', 'A cutover is finalized after its machine was launched'),
        idle,
        when(server.launchedInstance?.purpose === 'CUTOVER', 'The cutover machine has not been launched'),
        decideGate(server, 'CUTOVER'),
      )
    case 'TERMINATE':
      return all(
        when(server.launchedInstance !== undefined, 'No machine is launched'),
        when(
          state !== 'CUTOVER',
          'The launched machine stands alone since this migration is complete: shut it down, and remove it in the cloud itself',
        ),
        when(
          state !== 'TESTING' && state !== 'CUTTING_OVER',
          `The launched machine is in use: this server is ${stateInWords[state]}; revert first`,
        ),
        idle,
      )
    case 'PAUSE':
      return all(
        replicates,
        when(server.agent.desired === 'REPLICATE', 'Replication is paused already'),
        notLaunching,
      )
    case 'RESUME':
      return all(replicates, when(server.agent.desired === 'PAUSE', 'Replication is not paused'))
    case 'STOP_REPLICATION':
      return all(
        decideLifecycle(
          server,
          'STOP_REPLICATION',
          'Replication is stopped before a test is launched, or not at all',
        ),
        when(advanceDataReplication(server.replication.state, 'STOP').ok, 'Replication has ended already'),
        idle,
      )
    case 'START_REPLICATION':
      return all(
        decideLifecycle(server, 'START_REPLICATION', 'Only stopped replication is started'),
        when(
          advanceDataReplication(server.replication.state, 'INITIATE').ok,
          'Replication is being started already',
        ),
        idle,
      )
    case 'RESCAN': {
      const why = inconsistencyInWords(server)
      return all(
        replicates,
        notLaunching,
        when(server.agent.desired === 'REPLICATE', 'Replication is paused; resume it first'),
        when(
          why === undefined || server.replication.state === 'STALLED',
          `A rescan compares a finished copy, and ${why}`,
        ),
      )
    }
    case 'VERIFY': {
      const open = openVerification(server)
      const why = inconsistencyInWords(server)
      return all(
        replicates,
        notLaunching,
        when(server.agent.desired === 'REPLICATE', 'Replication is paused; resume it first'),
        when(why === undefined, `A verification proves a finished copy, and ${why}`),
        when(open === undefined, `A verification is under way since ${open?.askedAt}`),
      )
    }
    case 'RETRY':
      return all(
        replicates,
        when(server.replication.state === 'STALLED', 'Only stalled replication is tried again'),
        idle,
      )
    case 'DISCONNECT':
      return all(
        decideLifecycle(server, 'DISCONNECT', 'Only a server that still replicates is disconnected'),
        idle,
      )
    case 'ARCHIVE':
      return all(
        when(!server.isArchived, 'The server is archived already'),
        when(
          isOver(server) || state === 'PENDING_INSTALLATION',
          `Only a server that is cut over or disconnected is archived; this one is ${stateInWords[state]}`,
        ),
        idle,
      )
    case 'DELETE':
      return all(
        when(
          isOver(server) || state === 'PENDING_INSTALLATION',
          `Only a server that is cut over or disconnected is deleted; disconnect it first`,
        ),
        idle,
      )
    default:
      return unreachable(action)
  }
}

/** The step that brings this server's migration forward, possible now or not; undefined when there is none left. */
export function nextAction(server: SourceServer): ServerAction | undefined {
  const isStalled = server.replication.state === 'STALLED' && decideAction(server, 'RETRY').possible
  // A launch needs what stalled replication cannot give.
  const unlessStalled = (launch: ServerAction): ServerAction => (isStalled ? 'RETRY' : launch)
  switch (server.lifecycle.state) {
    case 'STOPPED':
      return 'START_REPLICATION'
    case 'PENDING_INSTALLATION':
    case 'DISCOVERED':
    case 'NOT_READY':
    case 'READY_FOR_TEST':
      return unlessStalled('START_TEST')
    case 'TESTING':
      return 'MARK_READY_FOR_CUTOVER'
    case 'READY_FOR_CUTOVER':
      return unlessStalled('START_CUTOVER')
    case 'CUTTING_OVER':
      return 'FINALIZE'
    case 'CUTOVER':
    case 'DISCONNECTED':
      return server.isArchived ? undefined : 'ARCHIVE'
    default:
      return unreachable(server.lifecycle.state)
  }
}
