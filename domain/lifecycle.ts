/**
 * The migration lifecycle of a source server, in MGN's words.
 *
 * ```
 * NOT_READY ──▶ READY_FOR_TEST ──▶ TESTING ──▶ READY_FOR_CUTOVER ──▶ CUTTING_OVER ──▶ CUTOVER
 *                     ▲  ▲            │ │            ▲  │                 │
 *                     │  └── revert ──┘ └─ mark ─────┘  │                 │
 *                     └──────────── revert ─────────────┘◀──── revert ────┘
 * any but CUTOVER and PENDING_INSTALLATION ── disconnect ──▶ DISCONNECTED
 * ```
 * States and rules: MGN service model, sections 1.3 and 1.5 of the API notes. A launch that fails returns the server to the state
 * it was launched from, so that the next action is simply the same action again.
 * @module
 */
import { advance } from './machine.ts'
import type { Transition, TransitionTable } from './machine.ts'

export const lifecycleStates = [
  'PENDING_INSTALLATION',
  'DISCOVERED',
  'STOPPED',
  'NOT_READY',
  'READY_FOR_TEST',
  'TESTING',
  'READY_FOR_CUTOVER',
  'CUTTING_OVER',
  'CUTOVER',
  'DISCONNECTED',
] as const
export type LifecycleState = (typeof lifecycleStates)[number]

export const lifecycleEvents = [
  'INSTALL_AGENT',
  'FINISH_INITIAL_SYNC',
  'START_TEST',
  'FAIL_TEST',
  'MARK_READY_FOR_TEST',
  'MARK_READY_FOR_CUTOVER',
  'START_CUTOVER',
  'FAIL_CUTOVER',
  'FINALIZE',
  'STOP_REPLICATION',
  'START_REPLICATION',
  'DISCONNECT',
] as const
export type LifecycleEvent = (typeof lifecycleEvents)[number]

/** Every transition there is. `START_TEST` from `TESTING` and `READY_FOR_CUTOVER` is a repeated test, which MGN allows. */
export const lifecycleTable = {
  PENDING_INSTALLATION: { INSTALL_AGENT: 'NOT_READY' },
  DISCOVERED: { INSTALL_AGENT: 'NOT_READY', START_REPLICATION: 'NOT_READY', DISCONNECT: 'DISCONNECTED' },
  STOPPED: { START_REPLICATION: 'NOT_READY', DISCONNECT: 'DISCONNECTED' },
  NOT_READY: {
    FINISH_INITIAL_SYNC: 'READY_FOR_TEST',
    STOP_REPLICATION: 'STOPPED',
    DISCONNECT: 'DISCONNECTED',
  },
  READY_FOR_TEST: { START_TEST: 'TESTING', STOP_REPLICATION: 'STOPPED', DISCONNECT: 'DISCONNECTED' },
  TESTING: {
    START_TEST: 'TESTING',
    FAIL_TEST: 'READY_FOR_TEST',
    MARK_READY_FOR_TEST: 'READY_FOR_TEST',
    MARK_READY_FOR_CUTOVER: 'READY_FOR_CUTOVER',
    DISCONNECT: 'DISCONNECTED',
  },
  READY_FOR_CUTOVER: {
    START_TEST: 'TESTING',
    MARK_READY_FOR_TEST: 'READY_FOR_TEST',
    START_CUTOVER: 'CUTTING_OVER',
    DISCONNECT: 'DISCONNECTED',
  },
  CUTTING_OVER: {
    START_CUTOVER: 'CUTTING_OVER',
    FAIL_CUTOVER: 'READY_FOR_CUTOVER',
    MARK_READY_FOR_TEST: 'READY_FOR_TEST',
    MARK_READY_FOR_CUTOVER: 'READY_FOR_CUTOVER',
    FINALIZE: 'CUTOVER',
    DISCONNECT: 'DISCONNECTED',
  },
  CUTOVER: {},
  DISCONNECTED: { INSTALL_AGENT: 'NOT_READY' },
} as const satisfies TransitionTable<LifecycleState, LifecycleEvent>

/** The lifecycle's one transition function. */
export function advanceLifecycle(
  from: LifecycleState,
  event: LifecycleEvent,
): Transition<LifecycleState, LifecycleEvent> {
  return advance<LifecycleState, LifecycleEvent>(lifecycleTable, from, event)
}
