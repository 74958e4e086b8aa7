/**
 * States as people read them: word, colour, icon. Colour never speaks alone.
 * @module
 */
import type { ServerAction } from '../domain/actions.ts'
import type { Job, LaunchStatus } from '../domain/job.ts'
import type { LifecycleState } from '../domain/lifecycle.ts'
import type { DataReplicationState, InitiationStepName } from '../domain/replication.ts'
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
  PENDING_INSTALLATION: { label: 'Waiting for agent', tone: 'neutral', icon: 'clock' },
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
  LAUNCH: 'Launching a machine',
  TERMINATE: 'Terminating the launched machine',
  FINALIZE: 'Finalizing the cutover',
  DISCONNECT: 'Disconnecting',
  DELETE: 'Deleting',
}

/** The names of the workers' steps. */
const stepWords: Record<string, string> = {
  'launch-replication-server': 'Launch replication server',
  'wait-for-replication-server': 'Wait for replication server',
  'create-volumes': 'Create staging volumes',
  'attach-volumes': 'Attach staging volumes',
  'pair-with-agent': 'Pair with agent',
  'terminate-previous': 'Terminate previous machine',
  'request-consistency-point': 'Reach a consistency point',
  'create-snapshots': 'Take snapshots',
  'create-image': 'Create image',
  convert: 'Convert for the target',
  'launch-machine': 'Launch machine',
  'check-boot': 'Check that it boots and answers',
  'terminate-machine': 'Terminate machine',
  'detach-machine': 'Make the machine stand alone',
  'uninstall-agent': 'Uninstall the agent',
  'remove-staging': 'Remove the staging area',
  'delete-records': 'Delete records',
}

/** A step's name in words; an unknown one is shown as it is. */
export function stepWord(name: string): string {
  return stepWords[name] ?? name
}

/** An action as a button and as a question. */
export interface ActionWord {
  button: string
  icon: IconName
  /** What it does, asked before it is done. */
  effect: string
  tone: 'primary' | 'plain' | 'danger'
  /** Done at once, without asking. */
  isHarmless?: true
}

export const actionWords: Record<ServerAction, ActionWord> = {
  START_TEST: {
    button: 'Launch test machine',
    icon: 'flask',
    effect:
      'A snapshot of the replica is taken at a consistent moment, converted, and booted in a network of its own. Replication goes on, and the source server is not touched. A test machine that was launched before is terminated first.',
    tone: 'primary',
  },
  MARK_READY_FOR_CUTOVER: {
    button: 'Mark ready for cutover',
    icon: 'check',
    effect:
      'You say that the test was good. The test machine stays until the cutover is launched or you terminate it.',
    tone: 'primary',
  },
  REVERT_TO_READY_FOR_TEST: {
    button: 'Revert to ready for test',
    icon: 'back',
    effect:
      'The server goes back to ready for test, and the launched machine is terminated with everything written on it.',
    tone: 'danger',
  },
  START_CUTOVER: {
    button: 'Launch cutover machine',
    icon: 'flag',
    effect:
      'A last snapshot is taken at a consistent moment, converted, and booted as the new production machine. Stop the applications on the source first, so that nothing is written after the snapshot. The test machine is terminated.',
    tone: 'primary',
  },
  REVERT_TO_READY_FOR_CUTOVER: {
    button: 'Revert to ready for cutover',
    icon: 'back',
    effect:
      'The cutover machine is terminated with everything written on it; replication goes on, and the cutover can be launched again.',
    tone: 'danger',
  },
  FINALIZE: {
    button: 'Finalize cutover',
    icon: 'flag',
    effect:
      'The migration ends: the agent is uninstalled from the source server and the staging area with its replica is removed. The launched machine stays. This cannot be undone.',
    tone: 'primary',
  },
  TERMINATE: {
    button: 'Terminate launched machine',
    icon: 'stop',
    effect: 'The launched machine is terminated with everything written on it. Replication goes on.',
    tone: 'danger',
  },
  PAUSE: {
    button: 'Pause replication',
    icon: 'pause',
    effect: 'Nothing is copied until you resume; changes are remembered meanwhile.',
    tone: 'plain',
    isHarmless: true,
  },
  RESUME: {
    button: 'Resume replication',
    icon: 'play',
    effect: 'Copying goes on where it stopped.',
    tone: 'plain',
    isHarmless: true,
  },
  RESCAN: {
    button: 'Rescan disks',
    icon: 'sync',
    effect: 'Every block is compared with the replica, and those that differ are sent again.',
    tone: 'plain',
    isHarmless: true,
  },
  RETRY: {
    button: 'Try replication again',
    icon: 'sync',
    effect: 'What is missing of the staging area is made, and the agent is told to go on.',
    tone: 'primary',
    isHarmless: true,
  },
  DISCONNECT: {
    button: 'Disconnect',
    icon: 'unplug',
    effect:
      'Replication ends: the agent is uninstalled from the source server, and the replica, its staging area and a launched machine are removed. To migrate the server later, its first copy starts over.',
    tone: 'danger',
  },
  ARCHIVE: {
    button: 'Archive',
    icon: 'archive',
    effect: 'The server leaves this list; its history stays under Archived.',
    tone: 'primary',
  },
  DELETE: {
    button: 'Delete',
    icon: 'trash',
    effect: 'The records of this server, its events and its history are deleted. This cannot be undone.',
    tone: 'danger',
  },
}
