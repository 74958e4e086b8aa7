/**
 * Adding wake-ups. The id comes from the task, so that adding one twice is adding it once.
 * @module
 */
import type { TaskId } from '../domain/ids.ts'
import type { QueueName } from './names.ts'

/** Wakes workers. */
export interface WakeUps {
  add(queue: QueueName, taskId: TaskId, delayMs?: number): Promise<void>
  /** A round trip through every queue, for `/readyz`. */
  ping(): Promise<void>
  close(): Promise<void>
}
