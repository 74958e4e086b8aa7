/**
 * What follows from a server's `activeTask`: its job item, its task item and a wake-up. Called by whoever made the decision and again by
 * the reconciler, so it makes only what is missing.
 * @module
 */
import type { ActiveTask, SourceServer } from '../domain/source_server.ts'
import type { Task } from '../domain/task.ts'
import type { Entities, Key, Kind, Store } from './store.ts'
import { newJob } from '../domain/job.ts'
import { RevisionConflictError } from './store.ts'

/** How the pieces that this room may not know are made. */
export interface ActiveTaskParts {
  /** The task that stands for the server's active work: `newTask` of the step lists. */
  newTask: (server: SourceServer, active: ActiveTask) => Task
  /** Wakes a worker for it. Adding a wake-up twice is adding it once. */
  wake: (task: Task) => Promise<void>
}

/**
 * Makes job, task and wake-up of `server.activeTask` where they are missing. Nothing to do when there is no active task.
 * `actor` is kept in a job made here.
 */
export async function ensureActiveTask(
  store: Store,
  server: SourceServer,
  parts: ActiveTaskParts,
  actor = 'rehost',
): Promise<void> {
  const active = server.activeTask
  if (active === undefined) return
  if (active.jobId !== undefined && active.initiatedBy !== undefined) {
    const { jobId, initiatedBy, startedAt: at } = active
    const { sourceServerId } = server
    const job = newJob({ jobId, initiatedBy, actor, at, sourceServerIds: [sourceServerId] })
    await createOnce(store, 'job', { id: jobId }, job)
  }
  await createOnce(store, 'task', { id: active.taskId }, parts.newTask(server, active))
  const task = await store.get('task', { id: active.taskId })
  if (task !== undefined) await parts.wake(task.value)
}

/** Creates an item unless it is there. */
async function createOnce<K extends Kind>(
  store: Store,
  kind: K,
  key: Key,
  value: Entities[K],
): Promise<void> {
  try {
    await store.create(kind, key, value)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
}
