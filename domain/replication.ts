/**
 * Data replication states and errors, in MGN's words.
 *
 * ```
 * STOPPED ─▶ INITIATING ─▶ INITIAL_SYNC ─▶ CONTINUOUS ◀─▶ BACKLOG
 *                 │              │           ▲  │  ▲
 *                 │              │           │  │  └─▶ CREATING_SNAPSHOT
 *                 └── STALLED ◀──┴───────────┘  └─▶ RESCAN
 * any ─ pause ─▶ PAUSED, any ─ disconnect ─▶ DISCONNECTED
 * ```
 * The agent's measurements drive it: what it is doing is reported in the heartbeat and becomes one of these events.
 * @module
 */
import { advance } from './machine.ts'
import type { Transition, TransitionTable } from './machine.ts'

export const dataReplicationStates = [
  'STOPPED',
  'INITIATING',
  'INITIAL_SYNC',
  'BACKLOG',
  'CREATING_SNAPSHOT',
  'CONTINUOUS',
  'PAUSED',
  'RESCAN',
  'STALLED',
  'DISCONNECTED',
  'PENDING_SNAPSHOT_SHIPPING',
  'SHIPPING_SNAPSHOT',
] as const
export type DataReplicationState = (typeof dataReplicationStates)[number]

export const dataReplicationEvents = [
  'INITIATE',
  'BEGIN_INITIAL_SYNC',
  'BEGIN_RESCAN',
  'FALL_BEHIND',
  'CATCH_UP',
  'BEGIN_SNAPSHOT',
  'STALL',
  'PAUSE',
  'STOP',
  'DISCONNECT',
] as const
export type DataReplicationEvent = (typeof dataReplicationEvents)[number]

/** What a replicating agent can report next, whichever of the running states it is in. */
const running = {
  BEGIN_INITIAL_SYNC: 'INITIAL_SYNC',
  BEGIN_RESCAN: 'RESCAN',
  FALL_BEHIND: 'BACKLOG',
  CATCH_UP: 'CONTINUOUS',
  STALL: 'STALLED',
  PAUSE: 'PAUSED',
  STOP: 'STOPPED',
  DISCONNECT: 'DISCONNECTED',
} as const

/** Every transition there is. A snapshot begins only from a state whose replica can reach a consistency point. */
export const dataReplicationTable = {
  STOPPED: { INITIATE: 'INITIATING', STOP: 'STOPPED', DISCONNECT: 'DISCONNECTED' },
  INITIATING: running,
  INITIAL_SYNC: running,
  BACKLOG: { ...running, BEGIN_SNAPSHOT: 'CREATING_SNAPSHOT' },
  CREATING_SNAPSHOT: { ...running, BEGIN_SNAPSHOT: 'CREATING_SNAPSHOT' },
  CONTINUOUS: { ...running, BEGIN_SNAPSHOT: 'CREATING_SNAPSHOT' },
  PAUSED: { ...running, INITIATE: 'INITIATING' },
  RESCAN: running,
  STALLED: { ...running, INITIATE: 'INITIATING' },
  DISCONNECTED: { INITIATE: 'INITIATING', DISCONNECT: 'DISCONNECTED' },
  PENDING_SNAPSHOT_SHIPPING: { STOP: 'STOPPED', DISCONNECT: 'DISCONNECTED' },
  SHIPPING_SNAPSHOT: { STOP: 'STOPPED', DISCONNECT: 'DISCONNECTED' },
} as const satisfies TransitionTable<DataReplicationState, DataReplicationEvent>

/** The data replication state's one transition function. */
export function advanceDataReplication(
  from: DataReplicationState,
  event: DataReplicationEvent,
): Transition<DataReplicationState, DataReplicationEvent> {
  return advance<DataReplicationState, DataReplicationEvent>(dataReplicationTable, from, event)
}

/** MGN's replication error codes that Rehost raises or may raise. */
export const dataReplicationErrors = [
  'AGENT_NOT_SEEN',
  'SNAPSHOTS_FAILURE',
  'NOT_CONVERGING',
  'UNSTABLE_NETWORK',
  'FAILED_TO_CREATE_SECURITY_GROUP',
  'FAILED_TO_LAUNCH_REPLICATION_SERVER',
  'FAILED_TO_BOOT_REPLICATION_SERVER',
  'FAILED_TO_AUTHENTICATE_WITH_SERVICE',
  'FAILED_TO_DOWNLOAD_REPLICATION_SOFTWARE',
  'FAILED_TO_CREATE_STAGING_DISKS',
  'FAILED_TO_ATTACH_STAGING_DISKS',
  'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
  'FAILED_TO_CONNECT_AGENT_TO_REPLICATION_SERVER',
  'FAILED_TO_START_DATA_TRANSFER',
  'UNSUPPORTED_VM_CONFIGURATION',
  'LAST_SNAPSHOT_JOB_FAILED',
] as const
export type DataReplicationErrorCode = (typeof dataReplicationErrors)[number]

/** Why replication is not running: MGN's code, what was seen, and what the operator can do about it. */
export interface DataReplicationError {
  error: DataReplicationErrorCode
  rawError: string
  whatToDo: string
}
