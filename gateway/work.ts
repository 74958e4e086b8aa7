/**
 * Setting the work going that a server's item names. The reconciler does the same for whoever dies in between.
 * @module
 */
import type { SourceServer } from '../domain/source_server.ts'
import type { Task } from '../domain/task.ts'
import type { Services } from './services.ts'
import { errorMessage } from '../domain/errors.ts'
import { newTask, nextQueue } from '../queues/task_steps.ts'
import { ensureActiveTask } from '../store/active_task.ts'
import { withDeadline } from './deadline.ts'

/**
 * Makes job and task where they are missing and wakes a worker. Trouble with the queue is logged, not thrown: the decision is stored,
 * and the reconciler wakes the workers when Redis is back.
 */
export async function setWorkGoing(
  { store, wakeUps, changes, log }: Pick<Services, 'store' | 'wakeUps' | 'changes' | 'log'>,
  server: SourceServer,
  actor: string,
): Promise<void> {
  const wake = async (task: Task): Promise<void> => {
    const queue = nextQueue(task)
    if (queue === undefined) return
    try {
      await withDeadline(wakeUps.add(queue, task.taskId), 2000, 'The queue')
      if (task.jobId !== undefined)
        await withDeadline(changes.publish({ kind: 'job', id: task.jobId }), 1000, 'Redis')
    } catch (error) {
      log.warn(
        { taskId: task.taskId, error: errorMessage(error) },
        'Cannot wake a worker now; the reconciler will',
      )
    }
  }
  await ensureActiveTask(store, server, { newTask, wake }, actor)
}
