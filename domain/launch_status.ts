/**
 * How far the part of one server in a job is, in MGN's words.
 *
 * ```
 * PENDING ── begin ──▶ IN_PROGRESS ── succeed ──▶ LAUNCHED
 *    │                    │    │                     │
 *    └────── fail ──▶ FAILED   └── terminate ──▶ TERMINATED
 * ```
 * A launch ends as LAUNCHED, and as TERMINATED once its machine is taken away; a termination ends as TERMINATED at once. A launch that
 * failed has left no machine, so its FAILED stays.
 * @module
 */
import { advance } from './machine.ts'
import type { Transition, TransitionTable } from './machine.ts'

export const launchStatuses = ['PENDING', 'IN_PROGRESS', 'LAUNCHED', 'FAILED', 'TERMINATED'] as const
export type LaunchStatus = (typeof launchStatuses)[number]

export const launchEvents = ['BEGIN', 'SUCCEED', 'FAIL', 'TERMINATE'] as const
export type LaunchEvent = (typeof launchEvents)[number]

/**
 * Every transition there is. `BEGIN` while IN_PROGRESS and `TERMINATE` while TERMINATED are the same step told again after a crash. A part
 * can fail before it has begun: its server may have been deleted.
 */
export const launchTable = {
  PENDING: { BEGIN: 'IN_PROGRESS', FAIL: 'FAILED' },
  IN_PROGRESS: { BEGIN: 'IN_PROGRESS', SUCCEED: 'LAUNCHED', FAIL: 'FAILED', TERMINATE: 'TERMINATED' },
  LAUNCHED: { TERMINATE: 'TERMINATED' },
  FAILED: {},
  TERMINATED: { TERMINATE: 'TERMINATED' },
} as const satisfies TransitionTable<LaunchStatus, LaunchEvent>

/** The launch status's one transition function. */
export function advanceLaunch(from: LaunchStatus, event: LaunchEvent): Transition<LaunchStatus, LaunchEvent> {
  return advance<LaunchStatus, LaunchEvent>(launchTable, from, event)
}

/** Whether the part is still to end. */
export function isLaunchOpen(status: LaunchStatus): boolean {
  return status === 'PENDING' || status === 'IN_PROGRESS'
}
