/**
 * States as people read them: word, colour, icon. Colour never speaks alone.
 * @module
 */
import type { InitiationStepName } from '../domain/initiation.ts'
import type { Job, JobLogEvent } from '../domain/job.ts'
import type { LaunchStatus } from '../domain/launch_status.ts'
import type { LifecycleState } from '../domain/lifecycle.ts'
import type { DataReplicationErrorCode, DataReplicationState } from '../domain/replication.ts'
import type { ServerEventType } from '../domain/source_server.ts'
import type { TaskKind } from '../domain/task.ts'
import type { IconName } from './icons.ts'

/** The colour of a badge or message. */
export type Tone = 'neutral' | 'info' | 'good' | 'warn' | 'bad' | 'accent'

/** A state as shown. */
export interface Word {
  label: string
  tone: Tone
  icon: IconName
}

export const lifecycleWords: Record<LifecycleState, Word> = {
  PENDING_INSTALLATION: { label: 'Imported, waiting for its agent', tone: 'neutral', icon: 'clock' },
  DISCOVERED: { label: 'Discovered', tone: 'neutral', icon: 'search' },
  STOPPED: { label: 'Stopped', tone: 'neutral', icon: 'stop' },
  NOT_READY: { label: 'Not ready', tone: 'info', icon: 'sync' },
  READY_FOR_TEST: { label: 'Ready for test', tone: 'good', icon: 'circleCheck' },
  TESTING: { label: 'Test in progress', tone: 'accent', icon: 'flask' },
  READY_FOR_CUTOVER: { label: 'Ready for cutover', tone: 'good', icon: 'circleCheck' },
  CUTTING_OVER: { label: 'Cutover in progress', tone: 'accent', icon: 'flag' },
  CUTOVER: { label: 'Cutover complete', tone: 'good', icon: 'flag' },
  DISCONNECTED: { label: 'Disconnected', tone: 'neutral', icon: 'unplug' },
}

export const replicationWords: Record<DataReplicationState, Word> = {
  STOPPED: { label: 'Not started', tone: 'neutral', icon: 'stop' },
  INITIATING: { label: 'Starting', tone: 'info', icon: 'clock' },
  INITIAL_SYNC: { label: 'First copy', tone: 'info', icon: 'sync' },
  BACKLOG: { label: 'Catching up', tone: 'warn', icon: 'sync' },
  CREATING_SNAPSHOT: { label: 'Taking a snapshot', tone: 'info', icon: 'disk' },
  CONTINUOUS: { label: 'Up to date', tone: 'good', icon: 'circleCheck' },
  PAUSED: { label: 'Paused', tone: 'warn', icon: 'pause' },
  RESCAN: { label: 'Comparing again', tone: 'info', icon: 'sync' },
  STALLED: { label: 'Stalled', tone: 'bad', icon: 'alert' },
  DISCONNECTED: { label: 'Disconnected', tone: 'neutral', icon: 'unplug' },
  PENDING_SNAPSHOT_SHIPPING: { label: 'Waiting for a snapshot', tone: 'neutral', icon: 'clock' },
  SHIPPING_SNAPSHOT: { label: 'Shipping a snapshot', tone: 'info', icon: 'sync' },
}

export const initiationWords: Record<InitiationStepName, string> = {
  WAIT: 'Prepare',
  CREATE_SECURITY_GROUP: 'Create network rules',
  LAUNCH_REPLICATION_SERVER: 'Launch replication server',
  BOOT_REPLICATION_SERVER: 'Boot replication server',
  AUTHENTICATE_WITH_SERVICE: 'Authenticate with Rehost',
  DOWNLOAD_REPLICATION_SOFTWARE: 'Fetch replication software',
  CREATE_STAGING_DISKS: 'Create staging disks',
  ATTACH_STAGING_DISKS: 'Attach staging disks',
  PAIR_REPLICATION_SERVER_WITH_AGENT: 'Pair replication server and agent',
  CONNECT_AGENT_TO_REPLICATION_SERVER: 'Connect agent to replication server',
  START_DATA_TRANSFER: 'Start data transfer',
}

export const launchWords: Record<LaunchStatus, Word> = {
  PENDING: { label: 'Waiting', tone: 'neutral', icon: 'clock' },
  IN_PROGRESS: { label: 'In progress', tone: 'info', icon: 'sync' },
  LAUNCHED: { label: 'Launched', tone: 'good', icon: 'circleCheck' },
  FAILED: { label: 'Failed', tone: 'bad', icon: 'circleCross' },
  TERMINATED: { label: 'Terminated', tone: 'neutral', icon: 'stop' },
}

/** What a job is called. */
export const initiatorWords: Record<Job['initiatedBy'], string> = {
  START_TEST: 'Test launch',
  START_CUTOVER: 'Cutover launch',
  DIAGNOSTIC: 'Diagnosis',
  TERMINATE: 'Termination',
}

/** What goes on for a server. */
export const workWords: Record<TaskKind, string> = {
  STAGING: 'Raising the staging area',
  EXTEND: 'Giving a disk its volume',
  LAUNCH: 'Launching a machine',
  TERMINATE: 'Terminating the launched machine',
  FINALIZE: 'Finalizing the cutover',
  DISCONNECT: 'Disconnecting',
  DELETE: 'Deleting',
}

/** The names of the workers' steps. They belong to the queues, so a test holds the two together. */
export const stepWords: Readonly<Record<string, string>> = {
  'launch-replication-server': 'Launch replication server',
  'wait-for-replication-server': 'Wait for replication server',
  'create-volumes': 'Create staging volumes',
  'attach-volumes': 'Attach staging volumes',
  'pair-with-agent': 'Pair with agent',
  'extend-staging': 'Make or enlarge volumes',
  'terminate-previous': 'Terminate previous machine',
  'request-consistency-point': 'Reach a consistency point',
  'create-snapshots': 'Take snapshots',
  'create-image': 'Create image',
  convert: 'Convert for the target',
  'launch-machine': 'Launch machine',
  'check-boot': 'Check that it boots and answers',
  'run-actions': 'Run post-launch actions',
  'terminate-machine': 'Terminate machine',
  'detach-machine': 'Make the machine stand alone',
  'complete-cutover': 'Complete the cutover',
  'uninstall-agent': 'Uninstall the agent',
  'release-staging': 'Release the replica',
  'remove-staging': 'Remove the staging area',
  'delete-records': 'Delete records',
}

/** A step's name in words; an unknown one is shown as it is. */
export function stepWord(name: string): string {
  return stepWords[name] ?? name
}

/** The errors of replication as headings: what does not work. The seen message and what to do stand below. */
export const errorWords: Record<DataReplicationErrorCode, string> = {
  AGENT_NOT_SEEN: 'The agent is not heard',
  SNAPSHOTS_FAILURE: 'Snapshots cannot be taken',
  NOT_CONVERGING: 'The replica cannot become complete',
  UNSTABLE_NETWORK: 'The connection to the replication server was lost',
  FAILED_TO_CREATE_SECURITY_GROUP: 'The network rules cannot be made',
  FAILED_TO_LAUNCH_REPLICATION_SERVER: 'The replication server cannot be launched',
  FAILED_TO_BOOT_REPLICATION_SERVER: 'The replication server does not come up',
  FAILED_TO_AUTHENTICATE_WITH_SERVICE: 'The replication server cannot enrol',
  FAILED_TO_DOWNLOAD_REPLICATION_SOFTWARE: 'The replication software cannot be fetched',
  FAILED_TO_CREATE_STAGING_DISKS: 'The staging disks cannot be made',
  FAILED_TO_ATTACH_STAGING_DISKS: 'The staging disks cannot be attached',
  FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT: 'Agent and replication server do not agree',
  FAILED_TO_CONNECT_AGENT_TO_REPLICATION_SERVER: 'The agent cannot reach the replication server',
  FAILED_TO_START_DATA_TRANSFER: 'The first blocks cannot be sent',
  UNSUPPORTED_VM_CONFIGURATION: 'The disks cannot be replicated as they are',
  LAST_SNAPSHOT_JOB_FAILED: 'The last snapshot failed',
}

/** The lines of a job's log. */
export const jobLogWords: Record<JobLogEvent, string> = {
  JOB_START: 'Started',
  SERVER_SKIPPED: 'Server skipped',
  CLEANUP_START: 'Clean-up begun',
  CLEANUP_END: 'Clean-up done',
  CLEANUP_FAIL: 'Clean-up failed',
  SNAPSHOT_START: 'Snapshot begun',
  SNAPSHOT_END: 'Snapshot taken',
  SNAPSHOT_FAIL: 'Snapshot failed',
  USING_PREVIOUS_SNAPSHOT: 'Earlier snapshot used',
  CONVERSION_START: 'Conversion begun',
  CONVERSION_END: 'Conversion done',
  CONVERSION_FAIL: 'Conversion failed',
  LAUNCH_START: 'Launch begun',
  LAUNCH_FAILED: 'Launch failed',
  ACTION_START: 'Action begun',
  ACTION_END: 'Action done',
  ACTION_FAIL: 'Action failed',
  JOB_CANCEL: 'Cancelled',
  JOB_END: 'Ended',
}

/** What an event is about. */
export const eventTypeWords: Record<ServerEventType, string> = {
  LIFECYCLE_CHANGED: 'Lifecycle',
  REPLICATION_CHANGED: 'Replication',
  INITIATION_STEP: 'Start of replication',
  AGENT: 'Agent',
  REPLICATOR: 'Replication server',
  CONSISTENCY_POINT: 'Consistency point',
  VERIFICATION: 'Verification',
  JOB: 'Work',
  LAUNCH: 'Launch',
  CONFIGURATION: 'Settings',
  OPERATOR: 'Operator',
  THRESHOLD: 'Limit',
}

const trackerWords: Readonly<Record<string, string>> = { tracefs: 'Kernel events', scan: 'Comparing' }

/** How changes of a disk are found; an unknown way is shown as it is. */
export function trackerWord(kind: string): string {
  return trackerWords[kind] ?? kind
}

/** A change that conversion made: `serial-login` becomes `Serial login`. */
export function changeWord(name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1).replaceAll('-', ' ')
}
