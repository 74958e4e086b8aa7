/**
 * What travels in a queue: the name of a task and nothing else. The truth is in the store.
 * @module
 */
import type { TaskId } from '../domain/ids.ts'

/** A wake-up: look at this task and do what is next. */
export interface WakeUp {
  taskId: TaskId
}
