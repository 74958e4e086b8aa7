/**
 * What the end of a task means for its server and its job.
 * @module
 */
import type { ImageId, MachineId } from '../domain/ids.ts'
import type { Job, JobLogEvent, ParticipatingServer } from '../domain/job.ts'
import type { InitiationStepName } from '../domain/initiation.ts'
import type { DataReplicationErrorCode } from '../domain/replication.ts'
import type { LaunchedInstance, SnapshotOfDisk, SourceServer } from '../domain/source_server.ts'
import type { ActionOutcome } from '../domain/post_launch_action.ts'
import type { StepOutput, Task } from '../domain/task.ts'
import type { StepName } from '../queues/task_steps.ts'
import type { LaunchOutput } from './launch/machine.ts'
import type { LifecycleEvent, LifecycleState } from '../domain/lifecycle.ts'
import type { LaunchEvent } from '../domain/launch_status.ts'
import { withLaunchTime } from '../domain/downtime.ts'
import { withJobStatus, withLaunchStatus } from '../domain/job.ts'
import { isLaunchOpen } from '../domain/launch_status.ts'
import { advanceLifecycle } from '../domain/lifecycle.ts'
import { withInitiationStep } from '../domain/initiation_step.ts'
import { withOutcomes } from '../domain/action_gate.ts'
import { advanceDataReplication } from '../domain/replication.ts'
import { withReplicationError } from '../domain/replication_error.ts'
import { withEvent, withLifecycle, withReplication } from '../domain/source_server.ts'
import { currentStep } from '../domain/task.ts'

/** Staging is tried again by itself after this time. */
export const stagingRetryMs = 60_000

interface Trouble {
  error: DataReplicationErrorCode
  step: InitiationStepName
  whatToDo: string
}

/** MGN's code and initiation step for a staging step that fails, and what the operator can do. */
const stagingTrouble: Partial<Record<StepName, Trouble>> = {
  'launch-replication-server': {
    error: 'FAILED_TO_LAUNCH_REPLICATION_SERVER',
    step: 'LAUNCH_REPLICATION_SERVER',
    whatToDo: 'Mend what the message names; Rehost tries again by itself, or press Retry',
  },
  'wait-for-replication-server': {
    error: 'FAILED_TO_BOOT_REPLICATION_SERVER',
    step: 'BOOT_REPLICATION_SERVER',
    whatToDo: "See the replication server's log; it must reach the gateway on the agent port",
  },
  'create-volumes': {
    error: 'FAILED_TO_CREATE_STAGING_DISKS',
    step: 'CREATE_STAGING_DISKS',
    whatToDo:
      'Make room in the staging area or raise the limit the message names; Rehost tries again by itself',
  },
  'attach-volumes': {
    error: 'FAILED_TO_ATTACH_STAGING_DISKS',
    step: 'ATTACH_STAGING_DISKS',
    whatToDo: 'Mend what the message names; Rehost tries again by itself',
  },
  'pair-with-agent': {
    error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
    step: 'PAIR_REPLICATION_SERVER_WITH_AGENT',
    whatToDo: 'Mend what the message names; Rehost tries again by itself',
  },
}

/** The replication server runs and does not enrol. */
const enrolmentTrouble: Trouble = {
  error: 'FAILED_TO_AUTHENTICATE_WITH_SERVICE',
  step: 'AUTHENTICATE_WITH_SERVICE',
  whatToDo: "See the replication server's log; it must reach the gateway on the agent port",
}

/** The line of the job log that says where a job failed. */
export const failureEvents: Partial<Record<StepName, JobLogEvent>> = {
  'terminate-previous': 'CLEANUP_FAIL',
  'terminate-machine': 'CLEANUP_FAIL',
  'request-consistency-point': 'SNAPSHOT_FAIL',
  'create-snapshots': 'SNAPSHOT_FAIL',
  'create-image': 'CONVERSION_FAIL',
  convert: 'CONVERSION_FAIL',
  'launch-machine': 'LAUNCH_FAILED',
  'check-boot': 'LAUNCH_FAILED',
  'run-actions': 'LAUNCH_FAILED',
}

/** What the step called `name` of `task` left, if it is done. */
function outputOf(task: Task, name: StepName): StepOutput | undefined {
  return task.steps.find((step) => step.name === name)?.output
}

/** `server` with the reason why a staging step fails now, for the dashboard; it stays until a later try gets through. */
export function withStagingTrouble(
  server: SourceServer,
  task: Task,
  rawError: string,
  at: string,
): SourceServer {
  const name = currentStep(task)?.name as StepName | undefined
  const isAuthenticating = server.replication.initiation.steps.some(
    (step) => step.name === 'AUTHENTICATE_WITH_SERVICE' && step.status === 'IN_PROGRESS',
  )
  const isEnrolling = name === 'wait-for-replication-server' && isAuthenticating
  const trouble = isEnrolling ? enrolmentTrouble : name === undefined ? undefined : stagingTrouble[name]
  if (trouble === undefined || server.replication.error?.rawError === rawError) return server
  const { step, error, whatToDo } = trouble
  const failed = withInitiationStep(server, step, 'FAIL', at, { level: 'ERROR' })
  return withReplicationError(failed, { error, rawError, whatToDo }, at, { message: `${error}: ${rawError}` })
}

/** The machine that `task` has launched so far. */
export function machineOf(task: Task): MachineId | undefined {
  return (outputOf(task, 'launch-machine') as unknown as LaunchOutput | undefined)?.machineId
}

/** The record of the machine that a launch left. */
function launchedInstance(task: Task, at: string): LaunchedInstance | undefined {
  const launch = outputOf(task, 'launch-machine') as unknown as LaunchOutput | undefined
  const converted = outputOf(task, 'convert') as { imageId: ImageId } | undefined
  const snapshots = outputOf(task, 'create-snapshots') as unknown as SnapshotOfDisk[] | undefined
  const checked = outputOf(task, 'check-boot') as { checked: string[] } | undefined
  if (launch === undefined || converted === undefined || snapshots === undefined || task.jobId === undefined)
    return undefined
  return {
    machineId: launch.machineId,
    imageId: converted.imageId,
    snapshotIds: snapshots.map(({ snapshotId }) => snapshotId),
    jobId: task.jobId,
    purpose: task.initiatedBy === 'START_CUTOVER' ? 'CUTOVER' : 'TEST',
    launchedAt: at,
    firstBoot: checked?.checked.length === 0 ? 'STOPPED' : 'SUCCEEDED',
    endpoints: launch.endpoints,
    description: launch.description,
  }
}

function afterLaunch(
  server: SourceServer,
  task: Task,
  at: string,
  stateBefore: LifecycleState | undefined,
): SourceServer {
  const purpose = task.initiatedBy === 'START_CUTOVER' ? 'Cutover' : 'Test'
  const instance = launchedInstance(task, at)
  if (task.status === 'SUCCEEDED' && instance !== undefined) {
    const outcomes = (outputOf(task, 'run-actions') as unknown as ActionOutcome[] | undefined) ?? []
    const timed = { ...withLaunchTime(server, task), launchedInstance: instance }
    const remembered = withOutcomes(timed, instance.purpose, outcomes)
    // Before the launch itself, which is good all the same: its event stays the last word on the launch.
    return withEvent(withFailedActions(remembered, instance, outcomes, at), at, {
      type: 'LAUNCH',
      message: `${purpose} machine ${instance.machineId} launched`,
      detail: {
        state: `${purpose.toUpperCase()}_LAUNCH_SUCCEEDED`,
        'job-id': String(task.jobId),
        machineId: instance.machineId,
      },
    })
  }
  const failed = withEvent(server, at, {
    type: 'LAUNCH',
    level: 'ERROR',
    message: `${purpose} launch failed: ${task.failure ?? 'no reason was saved'}`,
    detail: { state: `${purpose.toUpperCase()}_LAUNCH_FAILED`, 'job-id': String(task.jobId) },
  })
  const event = eventOfFailure(task, stateBefore)
  return advanceLifecycle(failed.lifecycle.state, event).ok ? withLifecycle(failed, event, at) : failed
}

/** `server` with an event for each action of a good launch that failed: nothing else tells of it before the next step is refused. */
function withFailedActions(
  server: SourceServer,
  { purpose, jobId }: LaunchedInstance,
  outcomes: readonly ActionOutcome[],
  at: string,
): SourceServer {
  return outcomes
    .filter(({ status }) => status === 'FAILED')
    .reduce((told, { actionName, failureReason, mustSucceedForCutover = false }) => {
      const why = failureReason ?? 'no reason was saved'
      return withEvent(told, at, {
        type: 'LAUNCH',
        level: mustSucceedForCutover ? 'ERROR' : 'WARNING',
        message: `Post-launch action “${actionName}” failed on the ${purpose.toLowerCase()} machine: ${why}`,
        detail: {
          state: 'ACTION_FAILED',
          'job-id': jobId,
          action: actionName,
          purpose,
          'must-succeed': mustSucceedForCutover,
        },
      })
    }, server)
}

/** A failed launch leads back to the state it was launched from; one that repeated a test leaves no test machine, so the test is open again. */
function eventOfFailure(task: Task, stateBefore: LifecycleState | undefined): LifecycleEvent {
  if (task.initiatedBy === 'START_CUTOVER') return 'FAIL_CUTOVER'
  return stateBefore === 'READY_FOR_CUTOVER' ? 'MARK_READY_FOR_CUTOVER' : 'FAIL_TEST'
}

function afterStaging(server: SourceServer, task: Task, at: string): SourceServer {
  if (task.status === 'SUCCEEDED') return server
  const nextAttemptAt = new Date(Date.parse(at) + stagingRetryMs).toISOString()
  const { initiation } = server.replication
  const waiting = {
    ...server,
    replication: { ...server.replication, initiation: { ...initiation, nextAttemptAt } },
  }
  return advanceDataReplication(waiting.replication.state, 'STALL').ok
    ? withReplication(waiting, 'STALL', at)
    : waiting
}

function afterCleanup(server: SourceServer, task: Task, at: string): SourceServer {
  if (task.status === 'FAILED') {
    // Nothing else gives up here. The server was left cutting over, with its replica and its agent.
    const message = `The cutover is not finalized: ${task.failure ?? 'no reason was saved'}`
    const detail = { state: 'FINALIZE_FAILED', ...(task.jobId === undefined ? {} : { 'job-id': task.jobId }) }
    return withEvent(server, at, { type: 'JOB', level: 'ERROR', message, detail })
  }
  const sentence: Partial<Record<Task['kind'], string>> = {
    TERMINATE: 'The launched machine is gone',
    FINALIZE: 'Cutover complete: the agent is told to uninstall, the staging area is gone',
    DISCONNECT:
      'Disconnected: the agent is told to uninstall, the staging area is gone; a launched machine stays',
  }
  const message = sentence[task.kind]
  return message === undefined ? server : withEvent(server, at, { type: 'JOB', message })
}

/** `server` after `task` has ended; unchanged when the task is no longer the one it names. Pure. */
export function serverAfter(server: SourceServer, task: Task, at: string): SourceServer {
  if (server.activeTask?.taskId !== task.taskId) return server
  const { activeTask: active, ...free } = server
  if (task.kind === 'LAUNCH') return withJobEnded(afterLaunch(free, task, at, active.stateBefore), task, at)
  if (task.kind === 'STAGING') return afterStaging(free, task, at)
  return withJobEnded(afterCleanup(free, task, at), task, at)
}

/** `server` with the event that a worker has begun with its job; unchanged when that is said, or the task is no longer the one it names. Pure. */
export function serverBegun(server: SourceServer, task: Task, at: string): SourceServer {
  const active = server.activeTask
  if (active?.taskId !== task.taskId || task.jobId === undefined || active.begunAt !== undefined)
    return server
  return withEvent({ ...server, activeTask: { ...active, begunAt: at } }, at, {
    type: 'JOB',
    message: `Job ${task.jobId} has begun`,
    detail: { 'job-id': task.jobId, status: 'STARTED' },
  })
}

function withJobEnded(server: SourceServer, task: Task, at: string): SourceServer {
  if (task.jobId === undefined) return server
  const isGood = task.status === 'SUCCEEDED'
  const good = task.kind === 'TERMINATE' ? 'TERMINATED' : 'LAUNCHED'
  return withEvent(server, at, {
    type: 'JOB',
    level: isGood ? 'INFO' : 'ERROR',
    message: isGood
      ? `Job ${task.jobId} has ended`
      : `Job ${task.jobId} has ended: ${task.failure ?? 'failed'}`,
    detail: { 'job-id': task.jobId, status: 'COMPLETED', 'launch-status': isGood ? good : 'FAILED' },
  })
}

/**
 * `job` with the part of one server begun. Told again after a crash it changes nothing, and what is over stays as it ended: the same
 * object when the whole job is. Pure.
 */
export function jobBegun(job: Job, task: Task): Job {
  if (job.status === 'COMPLETED') return job
  const participatingServers = job.participatingServers.map((own) =>
    isOpenPart(own, task) ? withLaunchStatus(job, own, 'BEGIN') : own,
  )
  return { ...withJobStatus(job, 'BEGIN'), participatingServers }
}

/**
 * `job` after the part of one server has ended; COMPLETED when no other is open. Told again it leaves what is over: the machine may have
 * been terminated since. Pure.
 */
export function jobAfter(job: Job, task: Task, at: string): Job {
  if (job.status === 'COMPLETED') return job
  const participatingServers = job.participatingServers.map((own) =>
    isOpenPart(own, task) ? partAfter(job, own, task) : own,
  )
  const isOpen = participatingServers.some(({ launchStatus }) => isLaunchOpen(launchStatus))
  return isOpen
    ? { ...job, participatingServers }
    : { ...withJobStatus(job, 'COMPLETE'), participatingServers, endedAt: at }
}

/** Whether `own` is the part of the server of `task`, and still to end. */
function isOpenPart(own: ParticipatingServer, task: Task): boolean {
  return own.sourceServerId === task.sourceServerId && isLaunchOpen(own.launchStatus)
}

/** `own`, the part of the server of `task`, which has ended. */
function partAfter(job: Job, own: ParticipatingServer, task: Task): ParticipatingServer {
  const machineId = machineOf(task)
  const succeeded: LaunchEvent = task.kind === 'TERMINATE' ? 'TERMINATE' : 'SUCCEED'
  return {
    sourceServerId: own.sourceServerId,
    ...(own.hasActions === undefined ? {} : { hasActions: own.hasActions }),
    launchStatus: withLaunchStatus(job, own, task.status === 'SUCCEEDED' ? succeeded : 'FAIL').launchStatus,
    ...(machineId === undefined || task.status === 'FAILED' ? {} : { machineId }),
    ...(task.failure === undefined ? {} : { failure: task.failure }),
  }
}
