/**
 * The reconciler: whatever follows from the store and is missing is made again. It is what makes losing Redis, or a process between two
 * writes, cost nothing but time.
 * @module
 */
import type { Task } from '../domain/task.ts'
import type { Bench } from './bench.ts'
import { errorMessage, NotFoundError } from '../domain/errors.ts'
import { isTakenAtOnce, newTask, nextQueue } from '../queues/task_steps.ts'
import { ensureActiveTask } from '../store/active_task.ts'
import { listAll } from '../store/listing.ts'
import { relayServer } from './relay.ts'
import { recordReplication } from './replication_recorder.ts'
import { watchReplication } from './replication_watch.ts'
import { watchReplicationServers } from './replication_server_watch.ts'
import { isOver } from './task_state.ts'

/** Wakes a worker for `task`, which `after` has died with. An ended task goes to the cleanup queue once more: its end may not have been told. */
export async function wake(bench: Pick<Bench, 'wakeUps'>, task: Task, after?: string): Promise<void> {
  await bench.wakeUps.add(nextQueue(task) ?? 'cleanup', task.taskId, after)
}

/** Looks at everything once. Trouble with one server does not keep the others from being looked at. */
export async function reconcile(bench: Bench): Promise<void> {
  const wakeTask = (task: Task): Promise<void> => wake(bench, task)
  const servers = await listAll(bench.store, 'server')
  for (const server of servers) {
    try {
      await relayServer(bench, server)
      const watched = await watchReplication(bench, server)
      await ensureActiveTask(bench.store, watched, { newTask, wake: wakeTask })
      // Last, so that a table that cannot be written to holds nothing up.
      await recordReplication(bench, watched)
    } catch (error) {
      if (error instanceof NotFoundError) continue
      bench.log.error(
        { sourceServerId: server.sourceServerId, err: error },
        `Cannot reconcile: ${errorMessage(error)}`,
      )
    }
  }
  await watchReplicationServers(bench, servers)
}

/**
 * Wakes a worker for every task that has not ended, named by a server or not. Once at the start: it reads all tasks there ever were. A
 * deletion goes with its own record, so one that has ended and is there was cut short by a crash.
 */
export async function wakeUnfinished(bench: Bench): Promise<void> {
  for (const task of await listAll(bench.store, 'task')) {
    const isCutShort = task.kind === 'DELETE' && task.status === 'SUCCEEDED'
    if (isOver(task) && !isCutShort) continue
    // A wake-up stays a dead worker's for as long as BullMQ waits for a word of it.
    const owner = isTakenAtOnce(task) ? task.lease?.owner : undefined
    await wake(bench, task, owner !== undefined && (await bench.isGone(owner)) ? owner : undefined)
  }
}
