/**
 * Names that follow from a task, so that a step run again names the same things.
 * @module
 */
import { createHash } from 'node:crypto'
import type { ConsistencyPointId, ReplicationServerId, TaskId } from '../domain/ids.ts'

/** Seventeen hexadecimal digits that stand for a text. */
export function digits(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 17)
}

/** The replication server that a task raises. */
export function replicationServerIdOf(taskId: TaskId): ReplicationServerId {
  return `i-${digits(`${taskId}/replication-server`)}` as ReplicationServerId
}

/** The consistency point that a task asks for in its `attempt`th attempt. */
export function consistencyPointIdOf(taskId: TaskId, attempt: number): ConsistencyPointId {
  return `cp-${digits(`${taskId}/consistency-point/${attempt}`)}` as ConsistencyPointId
}
