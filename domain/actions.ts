/**
 * What an operator can do to a source server: whether it is possible now, why not when it isn't, and what it changes. Pages draw their
 * buttons from it and the same decision refuses the call, so the two never disagree. Rules: MGN service model, section 1.5 of the API
 * notes.
 * @module
 */
import type { JobId } from './ids.ts'
import type { JobInitiator } from './job.ts'
import type { LifecycleEvent, LifecycleState } from './lifecycle.ts'
import type { DataReplicationState } from './replication.ts'
import type { ActiveTask, LifecycleMoment, SourceServer } from './source_server.ts'
import type { TaskKind } from './task.ts'
import { ConflictError, unreachable } from './errors.ts'
import { taskId } from './ids.ts'
import { advanceLifecycle } from './lifecycle.ts'
import { withEvent, withLifecycle, withReplication } from './source_server.ts'

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
  'RESCAN',
  'RETRY',
  'DISCONNECT',
  'ARCHIVE',
  'DELETE',
] as const
export type ServerAction = (typeof serverActions)[number]

/** Possible, or why not: a sentence for the operator. */
export type Decision = { possible: true } | { possible: false; because: string }

/** What {@link applyAction} needs from outside, so that it stays pure. */
export interface ActionContext {
  at: string
  /** The person or token that asks. */
  actor: string
  /** Becomes the id of the job, if the action makes one. */
  jobId: JobId
}

const possible: Decision = { possible: true }
const refuse = (because: string): Decision => ({ possible: false, because })

/** What a kind of work is called while it goes on. */
const workInWords: Record<TaskKind, string> = {
  STAGING: 'the staging area is being raised',
  LAUNCH: 'a machine is being launched',
  TERMINATE: 'the launched machine is being terminated',
  FINALIZE: 'the cutover is being finalized',
  DISCONNECT: 'the server is being disconnected',
  DELETE: 'the server is being deleted',
}

/** The work that goes on for a server, in words: `a machine is being launched`. */
export function workName(kind: TaskKind): string {
  return workInWords[kind]
}

/** Why a replica in this state cannot reach a consistency point; absent where it can. */
const notConsistent: Partial<Record<DataReplicationState, string>> = {
  STOPPED: 'replication has not started',
  INITIATING: 'replication is still starting',
  INITIAL_SYNC: 'the first copy of the disks is not finished',
  PAUSED: 'replication is paused; resume it first',
  RESCAN: 'the disks are being compared again after an interruption; wait until that is done',
  STALLED: 'replication is stalled; see what stopped it',
  DISCONNECTED: 'the server is disconnected',
  PENDING_SNAPSHOT_SHIPPING: 'no snapshot has been shipped yet',
  SHIPPING_SNAPSHOT: 'a snapshot is still being shipped',
}

/** Whether the replica can reach a consistency point, which every launch needs. */
export function decideLaunchable(server: SourceServer): Decision {
  const why = notConsistent[server.replication.state]
  if (why !== undefined) return refuse(`A launch needs a replica that is up to date, and ${why}`)
  if (server.agent.desired !== 'REPLICATE')
    return refuse('A launch needs running replication; resume it first')
  return possible
}

function decideIdle(server: SourceServer): Decision {
  const work = server.activeTask
  return work === undefined ? possible : refuse(`Wait: ${workInWords[work.kind]} since ${work.startedAt}`)
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

/** Whether `action` is possible for `server` now. Pure. */
export function decideAction(server: SourceServer, action: ServerAction): Decision {
  const idle = decideIdle(server)
  const { state } = server.lifecycle
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
      )
    case 'TERMINATE':
      return all(
        when(server.launchedInstance !== undefined, 'No machine is launched'),
        when(
          state !== 'TESTING' && state !== 'CUTTING_OVER' && state !== 'CUTOVER',
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
    case 'RESCAN':
      return all(
        replicates,
        notLaunching,
        when(server.agent.desired === 'REPLICATE', 'Replication is paused; resume it first'),
        when(
          ['CONTINUOUS', 'BACKLOG', 'CREATING_SNAPSHOT', 'STALLED'].includes(server.replication.state),
          'A rescan compares a finished copy; the disks are being copied or compared now',
        ),
      )
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
          isOver(server),
          `Only a server that is cut over or disconnected is archived; this one is ${stateInWords[state]}`,
        ),
        idle,
      )
    case 'DELETE':
      return all(
        when(
          isOver(server),
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
  switch (server.lifecycle.state) {
    case 'PENDING_INSTALLATION':
    case 'DISCOVERED':
    case 'STOPPED':
    case 'NOT_READY':
    case 'READY_FOR_TEST':
      return server.replication.state === 'STALLED' && decideAction(server, 'RETRY').possible
        ? 'RETRY'
        : 'START_TEST'
    case 'TESTING':
      return 'MARK_READY_FOR_CUTOVER'
    case 'READY_FOR_CUTOVER':
      return 'START_CUTOVER'
    case 'CUTTING_OVER':
      return 'FINALIZE'
    case 'CUTOVER':
    case 'DISCONNECTED':
      return server.isArchived ? undefined : 'ARCHIVE'
    default:
      return unreachable(server.lifecycle.state)
  }
}

/**
 * Makes `kind` the one piece of work that goes on. Its name comes from the job, so that a job's page finds it; without a job the event
 * sequence makes it unique.
 */
function withWork(
  server: SourceServer,
  kind: TaskKind,
  at: string,
  stateBefore: LifecycleState,
  job?: { jobId: JobId; initiatedBy: JobInitiator },
): SourceServer {
  const work: ActiveTask = {
    taskId: taskId(kind, server.sourceServerId, job?.jobId ?? String(server.eventSequence)),
    kind,
    startedAt: at,
    stateBefore,
    ...job,
  }
  return { ...server, activeTask: work }
}

/** A newly enrolled server with the work that raises its staging area; also what a retry begins. */
export function withStaging(server: SourceServer, at: string): SourceServer {
  const { error: _over, ...replication } = server.replication
  const started = { ...replication, initiation: { ...replication.initiation, startedAt: at } }
  return withWork({ ...server, replication: started }, 'STAGING', at, server.lifecycle.state)
}

/** Whether every disk has its staging volume attached to a replication server. */
export function hasStagingArea(server: SourceServer): boolean {
  return (
    server.replication.replicationServerId !== undefined &&
    server.disks.every((disk) => disk.volumeId !== undefined && disk.devicePath !== undefined)
  )
}

type MomentName = 'initiated' | 'reverted' | 'finalized'

function withMoment(
  server: SourceServer,
  of: 'lastTest' | 'lastCutover',
  name: MomentName,
  moment: LifecycleMoment,
): SourceServer {
  const before = name === 'initiated' ? {} : server.lifecycle[of]
  return { ...server, lifecycle: { ...server.lifecycle, [of]: { ...before, [name]: moment } } }
}

function terminateLaunched(
  server: SourceServer,
  context: ActionContext,
  before: LifecycleState,
): SourceServer {
  return server.launchedInstance === undefined
    ? server
    : withWork(server, 'TERMINATE', context.at, before, { jobId: context.jobId, initiatedBy: 'TERMINATE' })
}

function withAgent(server: SourceServer, desired: SourceServer['agent']['desired']): SourceServer {
  return { ...server, agent: { ...server.agent, desired } }
}

/**
 * `server` after `action`: lifecycle, the work that follows and the events, all for one conditional write. Pure.
 * @throws ConflictError when the action is not possible, with {@link decideAction}'s reason.
 */
export function applyAction(
  server: SourceServer,
  action: ServerAction,
  context: ActionContext,
): SourceServer {
  const decision = decideAction(server, action)
  if (!decision.possible) {
    throw new ConflictError(
      `Cannot ${inWords(action, `server ${server.sourceServerId}`)}: ${decision.because}`,
    )
  }
  const { at, actor, jobId } = context
  const asked = withEvent(server, at, {
    type: 'OPERATOR',
    actor,
    message: `Asked to ${inWords(action, 'this server')}`,
    detail: { action },
  })
  const before = server.lifecycle.state
  const moment: LifecycleMoment = { apiCallAt: at }
  const momentWithJob: LifecycleMoment = { apiCallAt: at, jobId }
  switch (action) {
    case 'START_TEST': {
      const testing = withLifecycle(asked, 'START_TEST', at, actor)
      return withWork(withMoment(testing, 'lastTest', 'initiated', momentWithJob), 'LAUNCH', at, before, {
        jobId,
        initiatedBy: 'START_TEST',
      })
    }
    case 'START_CUTOVER': {
      const cutting = withLifecycle(asked, 'START_CUTOVER', at, actor)
      return withWork(withMoment(cutting, 'lastCutover', 'initiated', momentWithJob), 'LAUNCH', at, before, {
        jobId,
        initiatedBy: 'START_CUTOVER',
      })
    }
    case 'MARK_READY_FOR_CUTOVER':
      return withMoment(
        withLifecycle(asked, 'MARK_READY_FOR_CUTOVER', at, actor),
        'lastTest',
        'finalized',
        moment,
      )
    case 'REVERT_TO_READY_FOR_TEST': {
      const of = before === 'CUTTING_OVER' ? 'lastCutover' : 'lastTest'
      const reverted = withMoment(
        withLifecycle(asked, 'MARK_READY_FOR_TEST', at, actor),
        of,
        'reverted',
        moment,
      )
      return terminateLaunched(reverted, context, before)
    }
    case 'REVERT_TO_READY_FOR_CUTOVER': {
      const ready = withLifecycle(asked, 'MARK_READY_FOR_CUTOVER', at, actor)
      return terminateLaunched(withMoment(ready, 'lastCutover', 'reverted', moment), context, before)
    }
    case 'FINALIZE': {
      const final = withReplication(withLifecycle(asked, 'FINALIZE', at, actor), 'DISCONNECT', at, actor)
      const told = withAgent(withMoment(final, 'lastCutover', 'finalized', moment), 'UNINSTALL')
      return withWork(told, 'FINALIZE', at, before)
    }
    case 'DISCONNECT': {
      const gone = withReplication(withLifecycle(asked, 'DISCONNECT', at, actor), 'DISCONNECT', at, actor)
      return withWork(withAgent(gone, 'UNINSTALL'), 'DISCONNECT', at, before)
    }
    case 'TERMINATE':
      return terminateLaunched(asked, context, before)
    case 'PAUSE':
      return withAgent(asked, 'PAUSE')
    case 'RESUME':
      return withAgent(asked, 'REPLICATE')
    case 'RESCAN':
      return {
        ...asked,
        replication: { ...asked.replication, rescanEpoch: asked.replication.rescanEpoch + 1 },
      }
    case 'RETRY': {
      if (!hasStagingArea(asked)) return withStaging(asked, at)
      const initiating = withReplication(asked, 'INITIATE', at, actor)
      const { error: _over, ...replication } = initiating.replication
      return { ...initiating, replication }
    }
    case 'ARCHIVE':
      return { ...asked, isArchived: true }
    case 'DELETE':
      return withWork(asked, 'DELETE', at, before)
    default:
      return unreachable(action)
  }
}

/** Each action in words; `%` stands for the server. */
const actionInWords: Record<ServerAction, string> = {
  START_TEST: 'launch a test machine for %',
  MARK_READY_FOR_CUTOVER: 'mark % ready for cutover',
  REVERT_TO_READY_FOR_TEST: 'revert % to ready for test',
  START_CUTOVER: 'launch the cutover machine for %',
  REVERT_TO_READY_FOR_CUTOVER: 'revert % to ready for cutover',
  FINALIZE: 'finalize the cutover of %',
  TERMINATE: 'terminate the launched machine of %',
  PAUSE: 'pause replication of %',
  RESUME: 'resume replication of %',
  RESCAN: 'rescan the disks of %',
  RETRY: 'try replication of % again',
  DISCONNECT: 'disconnect %',
  ARCHIVE: 'archive %',
  DELETE: 'delete %',
}

function inWords(action: ServerAction, subject: string): string {
  return actionInWords[action].replace('%', subject)
}
