/**
 * Telling job and server of a task's beginning and end. Each part is written once however often it is told, and the server last, because
 * the server is what names the task.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Task } from '../domain/task.ts'
import type { Bench } from './bench.ts'
import { NotFoundError } from '../domain/errors.ts'
import { mutate } from '../store/mutate.ts'
import { changeServer, now } from './bench.ts'
import { removeServer } from './cleanup/records.ts'
import { writeJobLog } from './job_log.ts'
import { jobAfter, jobBegun, serverAfter, serverBegun } from './outcomes.ts'

/** The job's first sign of life. */
export async function startJob(bench: Bench, task: Task): Promise<void> {
  const { jobId, sourceServerId } = task
  if (jobId === undefined) return
  await writeJobLog(bench, { jobId, event: 'JOB_START', sourceServerId, message: 'Job started' })
  await mutate(bench.store, 'job', { id: jobId }, (job) => jobBegun(job, task))
  await bench.changes.publish({ kind: 'job', id: jobId })
  await tellServer(bench, sourceServerId, (server) => serverBegun(server, task, now(bench)))
}

/** Tells job and server that the task has ended. */
export async function settle(bench: Bench, task: Task): Promise<void> {
  const { jobId, sourceServerId } = task
  const at = task.endedAt ?? now(bench)
  if (jobId !== undefined) {
    const message = task.status === 'SUCCEEDED' ? 'Job ended' : `Job ended: ${task.failure ?? 'failed'}`
    await writeJobLog(bench, { jobId, event: 'JOB_END', sourceServerId, message })
    await mutate(bench.store, 'job', { id: jobId }, (job) => jobAfter(job, task, at))
    await bench.changes.publish({ kind: 'job', id: jobId })
  }
  if (task.kind === 'DELETE' && task.status === 'SUCCEEDED') {
    await removeServer(bench, sourceServerId)
    await bench.store.remove('task', { id: task.taskId })
    await bench.changes.publish({ kind: 'server', id: sourceServerId })
    return
  }
  await tellServer(bench, sourceServerId, (server) => serverAfter(server, task, at))
}

async function tellServer(
  bench: Bench,
  sourceServerId: SourceServerId,
  change: (server: SourceServer) => SourceServer,
): Promise<void> {
  try {
    await changeServer(bench, sourceServerId, change)
  } catch (error) {
    // A task of a server that has been deleted has nobody to tell.
    if (!(error instanceof NotFoundError)) throw error
  }
}
