/**
 * Jobs: what the operator asked for, with MGN's types, statuses and log events.
 *
 * ```
 * PENDING ── begin ──▶ STARTED ── complete ──▶ COMPLETED
 *    │                                             ▲
 *    └────────────────── complete ─────────────────┘
 * ```
 * Failure is per server ({@link LaunchStatus}): a job has no FAILED, as in MGN.
 * @module
 */
import { ConflictError } from './errors.ts'
import type { JobId, MachineId, SourceServerId } from './ids.ts'
import { advanceLaunch } from './launch_status.ts'
import type { LaunchEvent, LaunchStatus } from './launch_status.ts'
import { advance } from './machine.ts'
import type { Transition, TransitionTable } from './machine.ts'

export type JobType = 'LAUNCH' | 'TERMINATE'
export type JobInitiator = 'START_TEST' | 'START_CUTOVER' | 'DIAGNOSTIC' | 'TERMINATE'

export const jobStatuses = ['PENDING', 'STARTED', 'COMPLETED'] as const
export type JobStatus = (typeof jobStatuses)[number]

export const jobStatusEvents = ['BEGIN', 'COMPLETE'] as const
export type JobStatusEvent = (typeof jobStatusEvents)[number]

/**
 * Every transition there is. `BEGIN` while STARTED is another of the job's servers, or the same one told again after a crash. A job whose
 * server was deleted before anything began is complete from PENDING.
 */
export const jobTable = {
  PENDING: { BEGIN: 'STARTED', COMPLETE: 'COMPLETED' },
  STARTED: { BEGIN: 'STARTED', COMPLETE: 'COMPLETED' },
  COMPLETED: {},
} as const satisfies TransitionTable<JobStatus, JobStatusEvent>

/** The job status's one transition function. */
export function advanceJob(from: JobStatus, event: JobStatusEvent): Transition<JobStatus, JobStatusEvent> {
  return advance<JobStatus, JobStatusEvent>(jobTable, from, event)
}

/** MGN's, and three of Rehost's own for post-launch actions. */
export const jobLogEvents = [
  'JOB_START',
  'SERVER_SKIPPED',
  'CLEANUP_START',
  'CLEANUP_END',
  'CLEANUP_FAIL',
  'SNAPSHOT_START',
  'SNAPSHOT_END',
  'SNAPSHOT_FAIL',
  'USING_PREVIOUS_SNAPSHOT',
  'CONVERSION_START',
  'CONVERSION_END',
  'CONVERSION_FAIL',
  'LAUNCH_START',
  'LAUNCH_FAILED',
  'ACTION_START',
  'ACTION_END',
  'ACTION_FAIL',
  'JOB_CANCEL',
  'JOB_END',
] as const
export type JobLogEvent = (typeof jobLogEvents)[number]

/** One server in a job. */
export interface ParticipatingServer {
  sourceServerId: SourceServerId
  launchStatus: LaunchStatus
  machineId?: MachineId
  /** Post-launch actions belong to it; how they go is kept beside the job. */
  hasActions?: true
  /** A sentence for the operator, when `launchStatus` is FAILED. */
  failure?: string
}

/** What the operator started. */
export interface Job {
  jobId: JobId
  type: JobType
  initiatedBy: JobInitiator
  actor: string
  status: JobStatus
  createdAt: string
  endedAt?: string
  participatingServers: ParticipatingServer[]
  tags?: Record<string, string>
}

/** A job, nothing of it begun. */
export function newJob(input: {
  jobId: JobId
  initiatedBy: JobInitiator
  actor: string
  at: string
  sourceServerIds: readonly SourceServerId[]
  tags?: Record<string, string>
}): Job {
  const { jobId, initiatedBy, actor, at, sourceServerIds, tags } = input
  return {
    jobId,
    type: initiatedBy === 'TERMINATE' ? 'TERMINATE' : 'LAUNCH',
    initiatedBy,
    actor,
    status: 'PENDING',
    createdAt: at,
    participatingServers: sourceServerIds.map((sourceServerId) => ({
      sourceServerId,
      launchStatus: 'PENDING',
    })),
    ...(tags === undefined ? {} : { tags }),
  }
}

/**
 * `job` after `event`.
 * @throws ConflictError when the table does not allow it.
 */
export function withJobStatus(job: Job, event: JobStatusEvent): Job {
  const step = advanceJob(job.status, event)
  if (!step.ok) throw new ConflictError(`${step.reason} (job ${job.jobId})`)
  return { ...job, status: step.to }
}

/**
 * `own`, a part of `job`, after `event`.
 * @throws ConflictError when the table does not allow it.
 */
export function withLaunchStatus(
  job: Job,
  own: ParticipatingServer,
  event: LaunchEvent,
): ParticipatingServer {
  const step = advanceLaunch(own.launchStatus, event)
  if (!step.ok) throw new ConflictError(`${step.reason} (server ${own.sourceServerId} in job ${job.jobId})`)
  return { ...own, launchStatus: step.to }
}

/** A line of the job log. `logId` comes from task, step and event, so that logging twice is logging once. */
export interface JobLogItem {
  jobId: JobId
  logId: string
  at: string
  event: JobLogEvent
  sourceServerId?: SourceServerId
  targetInstanceId?: MachineId
  message: string
  rawError?: string
  /** For a try that failed: which one it was, and how many there are. */
  attemptCount?: number
  maxAttemptsCount?: number
}
