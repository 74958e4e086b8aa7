/**
 * What keeps replication from running, from its beginning to its end: both are told in the write that changes the record. Pure.
 * @module
 */
import type { DataReplicationError } from './replication.ts'
import type { NewEvent, SourceServer } from './source_server.ts'
import { withEvent } from './source_server.ts'

/** `server` with `error` as what is wrong, and an event that says so. @param told how, where it is not the agent's or the workers' plain word. */
export function withReplicationError(
  server: SourceServer,
  error: DataReplicationError,
  at: string,
  told: Partial<NewEvent> = {},
): SourceServer {
  return withEvent({ ...server, replication: { ...server.replication, error: { ...error } } }, at, {
    type: 'REPLICATION_CHANGED',
    level: 'ERROR',
    message: `${error.rawError}. ${error.whatToDo}`,
    ...told,
    detail: { ...told.detail, error: error.error },
  })
}

/** `server` without its error, and an event that says so; the same object when it has none. @param because why it is over, as a sentence's beginning. */
export function withoutReplicationError(
  server: SourceServer,
  because: string,
  at: string,
  actor = 'rehost',
): SourceServer {
  const { error: over, ...replication } = server.replication
  if (over === undefined) return server
  return withEvent({ ...server, replication }, at, {
    type: 'REPLICATION_CHANGED',
    actor,
    message: `${because}; ${over.error} is over`,
    detail: { error: over.error },
  })
}
