/**
 * The store seam: aggregates with revisions, conditional writes, children in order. Implemented by `memory/` and `dynamodb/`; one
 * contract suite runs over both. No operation touches more than one item, so no endpoint needs transactions.
 * @module
 */
import type {
  AccessKey,
  ApiToken,
  InstallationToken,
  ReplicationServer,
  Session,
  User,
} from '../domain/enrolment.ts'
import type { AuditEntry } from '../domain/audit.ts'
import type { Application, Wave } from '../domain/application.ts'
import type { LaunchTemplate, ReplicationTemplate } from '../domain/template.ts'
import type { Transfer } from '../domain/transfer.ts'
import type { SourceServerId } from '../domain/ids.ts'
import type { Job, JobLogItem } from '../domain/job.ts'
import type { KeptAnswer } from '../domain/kept_answer.ts'
import type { FeedEntry, RelayedEvent } from '../domain/server_event.ts'
import type { Parameter } from '../domain/parameter.ts'
import type { LaunchRuns } from '../domain/post_launch_action.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Task } from '../domain/task.ts'
import type { WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookLane } from '../domain/webhook.ts'

/** What is stored, by kind. Kinds with a parent are listed under it and ordered by id. */
export interface Entities {
  server: SourceServer
  job: Job
  task: Task
  token: InstallationToken
  replicationServer: ReplicationServer
  user: User
  session: Session
  apiToken: ApiToken
  accessKey: AccessKey
  /** Id: sequence, zero-padded to 12 digits. */
  auditEntry: AuditEntry
  application: Application
  wave: Wave
  /** Whose an id is that users gave a server. Id: the SHA-256 of it. */
  ownId: { userProvidedId: string; sourceServerId: SourceServerId; claimedAt: string }
  /** Parent: the SHA-256 of the name of a host whose agent is awaited; id: source server id. */
  awaitedName: { sourceServerId: SourceServerId }
  /** Parent: the SHA-256 of a machine id and a network address; id: source server id. */
  knownMachine: { sourceServerId: SourceServerId }
  /** Parent: application id; id: source server id. */
  applicationMember: { sourceServerId: SourceServerId }
  replicationTemplate: ReplicationTemplate
  launchTemplate: LaunchTemplate
  /** Imports and exports. */
  transfer: Transfer
  /** Parent: source server id; id: sequence, zero-padded to 12 digits. */
  serverEvent: RelayedEvent
  /** Id: position, zero-padded to 15 digits. */
  eventFeed: FeedEntry
  /** Parent: job id; id: time then log id. */
  jobLog: JobLogItem
  /** Parent: job id; id: source server id. */
  launchRuns: LaunchRuns
  /** Id: its name. */
  parameter: Parameter
  webhook: WebhookEndpoint
  /** Parent: webhook id; id: lane, order in it and part, so that a lane's deliveries are listed in order. */
  webhookDelivery: WebhookDelivery
  /** Parent: webhook id; id: lane. There only while something of the lane is not settled. */
  webhookLane: WebhookLane
  /** Parent: webhook id; id: time, then delivery. */
  webhookAttempt: WebhookAttempt
  /** What requests with an Idempotency-Key were answered. */
  keptAnswer: KeptAnswer
  /** Small secrets and settings of the installation, by name: `ca`, `settings`. */
  setting: { name: string; value: string }
}

/** A kind of entity. */
export type Kind = keyof Entities

/** Names one item. `parent` is given for kinds that say so, and for no other. */
export interface Key {
  parent?: string
  id: string
}

/** An item as read: its revision is what a later write must present. */
export interface Versioned<T> {
  value: T
  revision: number
}

/** A page of a listing. */
export interface Page<T> {
  items: Versioned<T>[]
  /** Opaque; absent on the last page. */
  cursor?: string
}

/** How to list. */
export interface ListOptions {
  parent?: string
  /** Default: 100; at most 1000. */
  limit?: number
  cursor?: string
  /** By id, ascending unless told. */
  descending?: boolean
}

/** Raised when an item is not at the revision the writer read, or exists though it must not. */
export class RevisionConflictError extends Error {
  override name = 'RevisionConflictError'
}

/** The seam. Every method may be called again with the same arguments; reads are strongly consistent for single items. */
export interface Store {
  /** Makes tables and whatever else must exist. Idempotent. */
  initialise(): Promise<void>
  get<K extends Kind>(kind: K, key: Key): Promise<Versioned<Entities[K]> | undefined>
  /** @throws RevisionConflictError when the item exists. Returns the first revision. */
  create<K extends Kind>(kind: K, key: Key, value: Entities[K]): Promise<number>
  /** @throws RevisionConflictError unless the stored revision is `revision`. Returns the new revision. */
  replace<K extends Kind>(kind: K, key: Key, revision: number, value: Entities[K]): Promise<number>
  /** Removes the item if it is at `revision` (any revision when left out). No error when it is gone already. */
  remove(kind: Kind, key: Key, revision?: number): Promise<void>
  /** One page; items written while paging may or may not be in it, items not touched are. */
  list<K extends Kind>(kind: K, options?: ListOptions): Promise<Page<Entities[K]>>
  /** A round trip for `/readyz`. */
  ping(): Promise<void>
  close(): Promise<void>
}
