/**
 * Jobs: what the operator asked for, with MGN's types, statuses and log events.
 * @module
 */
import type { JobId, MachineId, SourceServerId } from './ids.ts'

export type JobType = 'LAUNCH' | 'TERMINATE'
export type JobStatus = 'PENDING' | 'STARTED' | 'COMPLETED'
export type JobInitiator = 'START_TEST' | 'START_CUTOVER' | 'DIAGNOSTIC' | 'TERMINATE'
export type LaunchStatus = 'PENDING' | 'IN_PROGRESS' | 'LAUNCHED' | 'FAILED' | 'TERMINATED'

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
  'JOB_CANCEL',
  'JOB_END',
] as const
export type JobLogEvent = (typeof jobLogEvents)[number]

/** One server in a job. Failure is per server: a job has no FAILED, as in MGN. */
export interface ParticipatingServer {
  sourceServerId: SourceServerId
  launchStatus: LaunchStatus
  machineId?: MachineId
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
