/**
 * What an action changes: lifecycle, the work that follows, and the events, all for one conditional write.
 * @module
 */
import type { ServerAction } from './decide_action.ts'
import type { LaunchHistory } from './downtime.ts'
import type { JobId } from './ids.ts'
import type { LifecycleState } from './lifecycle.ts'
import type { LifecycleMoment, SourceServer } from './source_server.ts'
import { decideAction } from './decide_action.ts'
import { withDowntimeForecast } from './downtime.ts'
import { ConflictError, unreachable } from './errors.ts'
import { withReplacementsTaken } from './replaced_disk.ts'
import { withoutReplicationError } from './replication_error.ts'
import { withEvent, withLifecycle, withReplication } from './source_server.ts'
import { hasStagingArea, withStaging } from './staging.ts'
import { withoutThresholds } from './thresholds.ts'
import { askVerification } from './verification.ts'
import { withWork } from './work.ts'

/** What {@link applyAction} needs from outside, so that it stays pure. */
export interface ActionContext {
  at: string
  /** The person or token that asks. */
  actor: string
  /** Becomes the id of the job, if the action makes one. */
  jobId: JobId
  /** Launches that went well, from which the downtime of a cutover is forecast; none where they are left out. */
  pastLaunches?: readonly LaunchHistory[]
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

/** What is left of replication when it is stopped: nothing that says how it goes, or when it would begin again by itself. */
function replicationStopped({ replication }: SourceServer): SourceServer['replication'] {
  const { lastConsistentAt: _past, etaDateTime: _eta, ...kept } = replication
  const { verification, ...rest } = kept
  const { nextAttemptAt: _never, ...initiation } = rest.initiation
  // One that is not over would be asked for again with the next start.
  return { ...rest, initiation, ...(verification?.endedAt === undefined ? {} : { verification }) }
}

/** `server` whose replication has ended: what was wrong with it is of no moment any more, and whoever was told that it began is told so. */
function withoutTrouble(
  server: SourceServer,
  because: string,
  { at, actor }: Pick<ActionContext, 'at' | 'actor'>,
): SourceServer {
  return withoutThresholds(withoutReplicationError(server, because, at, actor), because, at)
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
      const expected = withDowntimeForecast(cutting, context.pastLaunches ?? [], jobId, at)
      return withWork(withMoment(expected, 'lastCutover', 'initiated', momentWithJob), 'LAUNCH', at, before, {
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
    case 'FINALIZE':
      // The cutover is completed by that work, once the machine stands alone: until then all else is still possible.
      return withWork(asked, 'FINALIZE', at, before)
    case 'DISCONNECT': {
      const gone = withReplication(withLifecycle(asked, 'DISCONNECT', at, actor), 'DISCONNECT', at, actor)
      const settled = withoutTrouble(gone, 'The server is disconnected', context)
      return withWork(withAgent(settled, 'UNINSTALL'), 'DISCONNECT', at, before)
    }
    case 'TERMINATE':
      return terminateLaunched(asked, context, before)
    case 'PAUSE':
      return withAgent(asked, 'PAUSE')
    case 'RESUME':
      return withAgent(asked, 'REPLICATE')
    case 'STOP_REPLICATION': {
      const stopped = withReplication(withLifecycle(asked, 'STOP_REPLICATION', at, actor), 'STOP', at, actor)
      const settled = withoutTrouble(stopped, 'Replication is stopped', context)
      return withAgent({ ...settled, replication: replicationStopped(settled) }, 'STOP')
    }
    case 'START_REPLICATION': {
      const started = withLifecycle(asked, 'START_REPLICATION', at, actor)
      const told = withAgent(started, 'REPLICATE')
      return hasStagingArea(told) ? withReplication(told, 'INITIATE', at, actor) : withStaging(told, at)
    }
    case 'RESCAN': {
      const { replication } = asked
      const rescanEpoch = replication.rescanEpoch + 1
      return { ...withReplacementsTaken(asked), replication: { ...replication, rescanEpoch } }
    }
    case 'VERIFY':
      return askVerification(asked, at, actor)
    case 'RETRY': {
      if (!hasStagingArea(asked)) return withStaging(asked, at)
      return withoutReplicationError(
        withReplication(asked, 'INITIATE', at, actor),
        'Replication is tried again',
        at,
        actor,
      )
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
  STOP_REPLICATION: 'stop replication of %',
  START_REPLICATION: 'start replication of %',
  RESCAN: 'rescan the disks of %',
  VERIFY: 'verify the copies of %',
  RETRY: 'try replication of % again',
  DISCONNECT: 'disconnect %',
  ARCHIVE: 'archive %',
  DELETE: 'delete %',
}

function inWords(action: ServerAction, subject: string): string {
  return actionInWords[action].replace('%', subject)
}
