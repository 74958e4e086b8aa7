/**
 * The one piece of work that goes on for a server: what it is called, and how it begins.
 * @module
 */
import type { JobId } from './ids.ts'
import type { JobInitiator } from './job.ts'
import type { LifecycleState } from './lifecycle.ts'
import type { ActiveTask, SourceServer } from './source_server.ts'
import type { TaskKind } from './task.ts'
import { taskId } from './ids.ts'
import { withEvent } from './source_server.ts'

/** What a kind of work is called while it goes on. */
const workInWords: Record<TaskKind, string> = {
  STAGING: 'the staging area is being raised',
  EXTEND: 'a disk gets its volume',
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

/**
 * Makes `kind` the one piece of work that goes on. Its name comes from the job, so that a job's page finds it; without a job the event
 * sequence makes it unique.
 */
export function withWork(
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
  const working = { ...server, activeTask: work }
  if (job === undefined) return working
  return withEvent(working, at, {
    type: 'JOB',
    message: `Job ${job.jobId} is made: ${workInWords[kind]}`,
    detail: { 'job-id': job.jobId, status: 'PENDING', 'initiated-by': job.initiatedBy },
  })
}
