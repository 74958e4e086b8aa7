/**
 * What travels in a queue: the name of a task and nothing else. The truth is in the store.
 * @module
 */
import type { TaskId } from '../domain/ids.ts'

/** A wake-up: look at this task and do what is next. */
export interface WakeUp {
  taskId: TaskId
  /** Beside another wake-up for the task, which comes back in time: what this one does not finish is left to that. */
  isOnce?: true
}
