/**
 * Data replication states and initiation steps, in MGN's words.
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

/** The eleven steps between "agent installed" and "first byte", in order. */
export const initiationStepNames = [
  'WAIT',
  'CREATE_SECURITY_GROUP',
  'LAUNCH_REPLICATION_SERVER',
  'BOOT_REPLICATION_SERVER',
  'AUTHENTICATE_WITH_SERVICE',
  'DOWNLOAD_REPLICATION_SOFTWARE',
  'CREATE_STAGING_DISKS',
  'ATTACH_STAGING_DISKS',
  'PAIR_REPLICATION_SERVER_WITH_AGENT',
  'CONNECT_AGENT_TO_REPLICATION_SERVER',
  'START_DATA_TRANSFER',
] as const
export type InitiationStepName = (typeof initiationStepNames)[number]
export type InitiationStepStatus = 'NOT_STARTED' | 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED' | 'SKIPPED'

/** One initiation step as shown to the operator. */
export interface InitiationStep {
  name: InitiationStepName
  status: InitiationStepStatus
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

/** A fresh list of initiation steps, none begun. */
export function newInitiationSteps(): InitiationStep[] {
  return initiationStepNames.map((name) => ({ name, status: 'NOT_STARTED' }))
}

/**
 * Sets `name` to `status` and, once a step has begun, every step before it that was still open to SUCCEEDED. Pure.
 */
export function markInitiationStep(
  steps: readonly InitiationStep[],
  name: InitiationStepName,
  status: InitiationStepStatus,
): InitiationStep[] {
  const position = initiationStepNames.indexOf(name)
  return steps.map((step) => {
    const own = initiationStepNames.indexOf(step.name)
    if (own === position) return { ...step, status }
    const open = step.status === 'NOT_STARTED' || step.status === 'IN_PROGRESS' || step.status === 'FAILED'
    return own < position && open && status !== 'NOT_STARTED' ? { ...step, status: 'SUCCEEDED' } : step
  })
}
