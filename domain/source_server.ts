/**
 * The source server: one aggregate, one item in the store, changed only through conditional writes.
 * Field names follow MGN's SourceServer where it has them; ids end in `Id`, times are ISO 8601 UTC strings ending in `Z`.
 * @module
 */
import type {
  ApplicationId,
  ConsistencyPointId,
  JobId,
  ReplicationServerId,
  SnapshotId,
  SourceServerId,
  TaskId,
  VolumeId,
} from './ids.ts'
import type { InitiationStep } from './initiation.ts'
import type { JobInitiator } from './job.ts'
import type { LaunchConfiguration, LaunchedInstance, ReplicationConfiguration } from './launch.ts'
import type { LifecycleEvent, LifecycleState } from './lifecycle.ts'
import type { DataReplicationError, DataReplicationEvent, DataReplicationState } from './replication.ts'
import type { PointFigures } from './point_outcome.ts'
import type { PostLaunch } from './post_launch_action.ts'
import type { InitialReplication } from './replication_record.ts'
import type { KeptCopyForecast, LaunchTimes } from './forecast.ts'
import type { OfferedDisk } from './offered_disk.ts'
import type { NewEvent, ServerEvent } from './server_event.ts'
import type { SourceDisk, SourceProperties } from './source_properties.ts'
import type { TaskKind } from './task.ts'
import type { Verification } from './verified_disk.ts'
import { advanceLifecycle } from './lifecycle.ts'
import { newInitiationSteps } from './initiation.ts'
import { advanceDataReplication } from './replication.ts'
import { ConflictError } from './errors.ts'
import type { UnreadBlocks } from './unread_blocks.ts'

export type { LaunchConfiguration, LaunchedInstance, ReplicationConfiguration } from './launch.ts'
export type { NewEvent, ServerEvent, ServerEventType } from './server_event.ts'
export type { DiskUsage, SourceDisk, SourceProperties } from './source_properties.ts'

/** A disk being replicated and where its copy lives. `diskIndex` names it on the wire and never changes. */
export interface ReplicatedDisk {
  diskIndex: number
  deviceName: string
  stableId: string
  sizeBytes: number
  isBootDisk: boolean
  volumeId?: VolumeId
  devicePath?: string
  /** It was taken while the others were replicated, and has no volume yet; they go on without it. */
  isJoining?: true
  /** What has the name of this disk now, which nothing else tells from another one: it is not copied until the operator says so. */
  replacement?: SourceDisk
  /** The disk has grown to this size, and its volume has not yet. */
  wantedSizeBytes?: number
  /** Why its volume could not be made or enlarged, and when that is tried again. */
  extension?: { failure: string; nextAttemptAt: string }
  replicatedBytes: number
  rescannedBytes: number
  backlogBytes: number
  tracker?: { kind: string; reason: string }
}

/** One call of the operator and the job that came of it. */
export interface LifecycleMoment {
  apiCallAt: string
  jobId?: JobId
}

/** MGN's life cycle record. */
export interface Lifecycle {
  state: LifecycleState
  addedToServiceAt: string
  firstByteAt?: string
  readyForTestAt?: string
  lastSeenByServiceAt?: string
  lastTest?: { initiated?: LifecycleMoment; reverted?: LifecycleMoment; finalized?: LifecycleMoment }
  lastCutover?: { initiated?: LifecycleMoment; reverted?: LifecycleMoment; finalized?: LifecycleMoment }
}

/** Replication as the control plane knows it. Live figures (lag, throughput) are telemetry, not here. */
export interface DataReplication {
  state: DataReplicationState
  initiation: { startedAt?: string; nextAttemptAt?: string; steps: InitiationStep[] }
  error?: DataReplicationError
  lastSnapshotAt?: string
  /** The last moment at which the replica equalled the source. Lag is measured from it. */
  lastConsistentAt?: string
  /** When replica and source will be the same, in the first copy, a rescan or while catching up; absent while nobody can know. */
  etaDateTime?: string
  /** Why copies and comparisons read slowly now, in a sentence. */
  readingSlowed?: string
  replicationServerId?: ReplicationServerId
  /** Figures that are above their limit, and told so. */
  exceeded?: ('LAG' | 'BACKLOG')[]
  /** What became of the consistency points of the last day. */
  points?: PointFigures
  /** Raised by one to ask for a hash rescan of every disk. */
  rescanEpoch: number
  /** The last verification, over or not; absent before the first. */
  verification?: Verification
}

/** A snapshot and the disk it is of. */
export interface SnapshotOfDisk {
  snapshotId: SnapshotId
  diskIndex: number
  isBootDisk: boolean
}

/**
 * A consistency point asked of the agent. REQUESTED → REACHED (the replicator holds later writes back) → TAKEN (the snapshots exist;
 * the replicator goes on). EXPIRED and FAILED also let the replicator go on, and no snapshot of it may be used.
 */
export interface ConsistencyRequest {
  consistencyPointId: ConsistencyPointId
  state: 'REQUESTED' | 'REACHED' | 'TAKEN' | 'EXPIRED' | 'FAILED'
  requestedAt: string
  expiresAt: string
  reachedAt?: string
  /** How the point was reached: file systems frozen for `frozenMs`, or a quiet moment. */
  method?: 'FROZEN' | 'QUIET'
  frozenMs?: number
  roots?: { diskIndex: number; root: string }[]
  /** What was still to be read, where that is why a disk has no root. */
  unread?: UnreadBlocks
  /** One for each disk. Written together with TAKEN: later ones would be of volumes that are written to again. */
  snapshots?: SnapshotOfDisk[]
  failure?: string
}

/** What the agent is and what it is told. */
export interface AgentRecord {
  version: string
  certificateSerial: string
  /** Still accepted after a renewal until the new certificate is first used: the answer may never have arrived. */
  previousCertificateSerial?: string
  certificateNotAfter: string
  generation: number
  /** Level-triggered: the agent makes this true and keeps it so. */
  desired: 'REPLICATE' | 'PAUSE' | 'STOP' | 'UNINSTALL'
  lastSeenAt?: string
  /** It is told to be silent: when it was last heard before that. */
  silentSince?: string
  uninstalledAt?: string
  /** When it was no longer waited for, to say that it is uninstalled. */
  givenUpAt?: string
  /** The boot of the machine in which the agent was started last, and those before it, latest first. */
  bootId?: string
  formerBootIds?: string[]
  /** When the operator was last told that a copy of the machine was refused. */
  copyToldAt?: string
}

/** The one piece of work that is going on for a server. Decided in the same write as the state it follows from. */
export interface ActiveTask {
  taskId: TaskId
  kind: TaskKind
  jobId?: JobId
  initiatedBy?: JobInitiator
  startedAt: string
  /** When a worker began with it, of work that belongs to a job. */
  begunAt?: string
  /** Whom to return to when the work fails. */
  stateBefore?: LifecycleState
}

/** The aggregate. */
export interface SourceServer {
  sourceServerId: SourceServerId
  userProvidedId?: string
  /** The full name of its host, as an import gave it. */
  fqdnForActionFramework?: string
  /** The application that it is part of. */
  applicationId?: ApplicationId
  isArchived: boolean
  tags: Record<string, string>
  createdAt: string
  sourceProperties: SourceProperties
  lifecycle: Lifecycle
  replication: DataReplication
  disks: ReplicatedDisk[]
  /** Disks of the source that have no copy. */
  offeredDisks?: OfferedDisk[]
  agent: AgentRecord
  replicationConfiguration: ReplicationConfiguration
  launchConfiguration: LaunchConfiguration
  consistencyRequest?: ConsistencyRequest
  activeTask?: ActiveTask
  launchedInstance?: LaunchedInstance
  /** What is run on machines launched for it, and how that went last; absent where nothing is. */
  postLaunch?: PostLaunch
  /** The record of the first copy, on its way to where such records are kept; absent before the first byte. */
  initialReplication?: InitialReplication
  /** What was expected of the first copy when its first byte arrived; absent where nothing could be said. */
  copyForecast?: KeptCopyForecast
  /** How long launches of it took; outlives the machines. */
  launchTimes?: LaunchTimes
  eventSequence: number
  /** Events not yet relayed; emptied by the relay, never by a reader. */
  outbox: ServerEvent[]
}

/** Whether no agent of the server has ever enrolled. What the API answers of such a server has no serial number at all. */
export function hasNoAgentYet({ agent }: { agent: { certificateSerial?: string } }): boolean {
  return (agent.certificateSerial ?? '') === ''
}

/** `server` with `event` appended to its outbox. Pure. */
export function withEvent(server: SourceServer, at: string, event: NewEvent): SourceServer {
  const sequence = server.eventSequence + 1
  const full: ServerEvent = { actor: 'rehost', level: 'INFO', detail: {}, ...event, sequence, at }
  return { ...server, eventSequence: sequence, outbox: [...server.outbox, full] }
}

/**
 * `server` after lifecycle `event`, with the event that says so in its outbox.
 * @throws ConflictError when the lifecycle does not allow it, with state, event and what is possible.
 */
export function withLifecycle(
  server: SourceServer,
  event: LifecycleEvent,
  at: string,
  actor = 'rehost',
  detail: ServerEvent['detail'] = {},
): SourceServer {
  const from = server.lifecycle.state
  const step = advanceLifecycle(from, event)
  if (!step.ok) throw new ConflictError(`${step.reason} (server ${server.sourceServerId})`)
  const moved = { ...server, lifecycle: { ...server.lifecycle, state: step.to } }
  if (step.to === from) return moved
  return withEvent(moved, at, {
    type: 'LIFECYCLE_CHANGED',
    actor,
    message: `Lifecycle ${from} → ${step.to}`,
    detail: { from, to: step.to, event, ...detail },
  })
}

/**
 * `server` after replication `event`; unchanged (the same object) when the state already is the one the event leads to.
 * @throws ConflictError when the table does not allow it.
 */
export function withReplication(
  server: SourceServer,
  event: DataReplicationEvent,
  at: string,
  actor = 'rehost',
): SourceServer {
  const from = server.replication.state
  const step = advanceDataReplication(from, event)
  if (!step.ok) throw new ConflictError(`${step.reason} (server ${server.sourceServerId})`)
  if (step.to === from) return server
  const moved = { ...server, replication: { ...server.replication, state: step.to } }
  return withEvent(moved, at, {
    type: 'REPLICATION_CHANGED',
    actor,
    level: step.to === 'STALLED' ? 'WARNING' : 'INFO',
    message: `Data replication ${from} → ${step.to}`,
    detail: { from, to: step.to },
  })
}

/** A server as it begins, whose agent has enrolled or is awaited. */
export function blankServer(input: {
  sourceServerId: SourceServerId
  at: string
  name: string
  state: 'NOT_READY' | 'PENDING_INSTALLATION'
  sourceProperties: SourceProperties
  disks: ReplicatedDisk[]
  agent: AgentRecord
  userProvidedId?: string
}): SourceServer {
  return {
    sourceServerId: input.sourceServerId,
    ...(input.userProvidedId === undefined ? {} : { userProvidedId: input.userProvidedId }),
    isArchived: false,
    tags: {},
    createdAt: input.at,
    sourceProperties: input.sourceProperties,
    lifecycle: { state: input.state, addedToServiceAt: input.at },
    replication: { state: 'STOPPED', initiation: { steps: newInitiationSteps() }, rescanEpoch: 0 },
    disks: input.disks,
    agent: input.agent,
    replicationConfiguration: {
      bandwidthThrottlingMbps: 0,
      useDedicatedReplicationServer: false,
      stagingAreaTags: {},
    },
    launchConfiguration: {
      name: input.name,
      launchDisposition: 'STARTED',
      rightSizing: 'BASIC',
      bootMode: 'USE_SOURCE',
      bootTimeoutSeconds: 600,
      httpChecks: [],
      reachablePorts: [22, 80, 443],
    },
    eventSequence: 0,
    outbox: [],
  }
}

/** A new server, first seen by its agent's enrolment. */
export function newSourceServer(input: {
  sourceServerId: SourceServerId
  at: string
  sourceProperties: SourceProperties
  disks: ReplicatedDisk[]
  agent: AgentRecord
  userProvidedId?: string
  tags?: Record<string, string>
}): SourceServer {
  const { at, tags } = input
  const { hostname } = input.sourceProperties.identificationHints
  const blank = blankServer({ ...input, name: hostname, state: 'NOT_READY' })
  const server: SourceServer = {
    ...blank,
    // As the service names a server that nobody has named.
    tags: { Name: hostname, ...tags },
    lifecycle: { ...blank.lifecycle, lastSeenByServiceAt: at },
  }
  return withEvent(server, at, {
    type: 'AGENT',
    actor: 'agent',
    message: `Agent ${input.agent.version} enrolled on ${hostname}`,
    detail: { state: 'ENROLLED' },
  })
}
