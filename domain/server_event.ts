/**
 * Events of a server: what happened to it, for people and for webhooks.
 * @module
 */
import type { SourceServerId } from './ids.ts'

/** Something that happened to a server. Written into the item that changed, then relayed. */
export interface ServerEvent {
  /** Position among the server's events, from 1, without gaps. */
  sequence: number
  at: string
  type: ServerEventType
  /** Who did it: a user name, `agent`, `replicator` or `rehost`. */
  actor: string
  message: string
  level: 'INFO' | 'WARNING' | 'ERROR'
  detail: Record<string, string | number | boolean | null>
}

export type ServerEventType =
  | 'LIFECYCLE_CHANGED'
  | 'REPLICATION_CHANGED'
  | 'INITIATION_STEP'
  | 'AGENT'
  | 'REPLICATOR'
  | 'CONSISTENCY_POINT'
  | 'VERIFICATION'
  | 'JOB'
  | 'LAUNCH'
  | 'CONFIGURATION'
  | 'OPERATOR'
  | 'THRESHOLD'

/** An event as its author gives it; sequence and time are added by `withEvent`. */
export type NewEvent = Pick<ServerEvent, 'type' | 'message'> &
  Partial<Pick<ServerEvent, 'actor' | 'level' | 'detail'>>

/** An event as it is listed after it was relayed. */
export interface RelayedEvent extends ServerEvent {
  /** Its place among the events of all servers, once it has one. */
  position?: number
}

/** A place among the events of all servers, and whose event was put there. It counts only if the event says the same: see `store/event_feed.ts`. */
export interface FeedEntry {
  position: number
  sourceServerId: SourceServerId
  sequence: number
}
