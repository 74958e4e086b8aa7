/**
 * The data replication state that the agent reports: a table of rules over facts, first match wins, and the domain's table of legal steps.
 * @module
 */
import type { DataReplicationEvent, DataReplicationState } from '../../domain/replication.ts'
import { advanceDataReplication } from '../../domain/replication.ts'

/** The facts that decide. */
export interface ReplicationFacts {
  mode: 'IDLE' | 'REPLICATE' | 'PAUSE' | 'STOP' | 'UNINSTALL'
  /** Was connected to the named replicator since replication began. */
  wasConnected: boolean
  /** Milliseconds without a connection; 0 while connected. */
  disconnectedMs: number
  /** A disk is gone, smaller than it was, or another one. */
  hasDiskFault: boolean
  isInitialSync: boolean
  isRescanning: boolean
  isReachingConsistencyPoint: boolean
  backlogBytes: number
  lagMs: number | null
  /** What was reported last. */
  current: DataReplicationState
}

/** A lost connection counts as a stall after this long; shorter breaks are repaired without a word. */
export const stalledAfterMs = 15_000

/** Beyond these the agent says that it has fallen behind; it says that it has caught up only below the lower ones, so that it does not flicker. */
export const backlogLimits = {
  beginBytes: 256 * 1024 * 1024,
  beginLagMs: 30_000,
  endBytes: 64 * 1024 * 1024,
  endLagMs: 10_000,
}

function isBehind(facts: ReplicationFacts): boolean {
  if (facts.lagMs === null) return true
  const wasBehind = facts.current === 'BACKLOG'
  const bytes = wasBehind ? backlogLimits.endBytes : backlogLimits.beginBytes
  const lagMs = wasBehind ? backlogLimits.endLagMs : backlogLimits.beginLagMs
  return facts.backlogBytes > bytes || facts.lagMs > lagMs
}

const rules: readonly { state: DataReplicationState; when: (facts: ReplicationFacts) => boolean }[] = [
  { state: 'PAUSED', when: ({ mode }) => mode === 'PAUSE' },
  { state: 'STOPPED', when: ({ mode }) => mode !== 'REPLICATE' },
  { state: 'STALLED', when: ({ hasDiskFault }) => hasDiskFault },
  { state: 'INITIATING', when: ({ wasConnected }) => !wasConnected },
  { state: 'STALLED', when: ({ disconnectedMs }) => disconnectedMs > stalledAfterMs },
  { state: 'INITIAL_SYNC', when: ({ isInitialSync }) => isInitialSync },
  { state: 'RESCAN', when: ({ isRescanning }) => isRescanning },
  { state: 'CREATING_SNAPSHOT', when: ({ isReachingConsistencyPoint }) => isReachingConsistencyPoint },
  { state: 'BACKLOG', when: isBehind },
  { state: 'CONTINUOUS', when: () => true },
]

/** The event that leads to each state the agent can report. */
const eventTo: Partial<Record<DataReplicationState, DataReplicationEvent>> = {
  STOPPED: 'STOP',
  INITIATING: 'INITIATE',
  INITIAL_SYNC: 'BEGIN_INITIAL_SYNC',
  RESCAN: 'BEGIN_RESCAN',
  BACKLOG: 'FALL_BEHIND',
  CONTINUOUS: 'CATCH_UP',
  CREATING_SNAPSHOT: 'BEGIN_SNAPSHOT',
  PAUSED: 'PAUSE',
  STALLED: 'STALL',
}

/** The state that the facts call for, whatever was before. */
export function stateOf(facts: ReplicationFacts): DataReplicationState {
  const rule = rules.find(({ when }) => when(facts))
  if (rule === undefined) throw new Error('The last rule matches everything')
  return rule.state
}

/** The state to report next: the one the facts call for, or the legal step on the way to it. */
export function nextState(facts: ReplicationFacts): DataReplicationState {
  const wanted = stateOf(facts)
  // CONTINUOUS is claimed only when it is true: the gateway takes its first time for the end of the initial sync.
  const onTheWay = isBehind(facts) ? 'BACKLOG' : 'CONTINUOUS'
  for (const candidate of [wanted, onTheWay, 'INITIATING'] as const) {
    if (candidate === facts.current) return candidate
    const event = eventTo[candidate]
    if (event !== undefined && advanceDataReplication(facts.current, event).ok) return candidate
  }
  return facts.current
}
