/**
 * Initiation steps and the status of each, in MGN's words.
 *
 * ```
 * NOT_STARTED ── begin ──▶ IN_PROGRESS ── succeed ──▶ SUCCEEDED
 *      │                     ▲      │
 *      │                   begin   fail
 *      │                     │      ▼
 *      └── skip ─▶ SKIPPED   └─── FAILED
 * any but SKIPPED ─ begin ─▶ IN_PROGRESS, ─ succeed ─▶ SUCCEEDED, ─ fail ─▶ FAILED; SUCCEEDED ─ skip ─▶ SKIPPED
 * ```
 * A step that succeeded may begin, fail or be skipped yet: the agent of an earlier attempt that is still connected tells that all went
 * well before the new attempt comes to the step, and a replication server that has vanished is launched once more.
 * @module
 */
import { ConflictError } from './errors.ts'
import { advance } from './machine.ts'
import type { Transition, TransitionTable } from './machine.ts'

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

export const initiationStepStatuses = [
  'NOT_STARTED',
  'IN_PROGRESS',
  'SUCCEEDED',
  'FAILED',
  'SKIPPED',
] as const
export type InitiationStepStatus = (typeof initiationStepStatuses)[number]

export const initiationStepEvents = ['BEGIN', 'SUCCEED', 'FAIL', 'SKIP'] as const
export type InitiationStepEvent = (typeof initiationStepEvents)[number]

/** What a step that is not skipped can come to, whichever status it has: the same again when a worker's step runs again after a crash. */
const unskipped = { BEGIN: 'IN_PROGRESS', SUCCEED: 'SUCCEEDED', FAIL: 'FAILED' } as const

/** Every transition there is. A step that is skipped stays so until the next attempt begins with a new list. */
export const initiationStepTable = {
  NOT_STARTED: { ...unskipped, SKIP: 'SKIPPED' },
  IN_PROGRESS: unskipped,
  SUCCEEDED: { ...unskipped, SKIP: 'SKIPPED' },
  FAILED: unskipped,
  SKIPPED: { SKIP: 'SKIPPED' },
} as const satisfies TransitionTable<InitiationStepStatus, InitiationStepEvent>

/** The initiation step status's one transition function. */
export function advanceInitiationStep(
  from: InitiationStepStatus,
  event: InitiationStepEvent,
): Transition<InitiationStepStatus, InitiationStepEvent> {
  return advance<InitiationStepStatus, InitiationStepEvent>(initiationStepTable, from, event)
}

/** One initiation step as shown to the operator. */
export interface InitiationStep {
  name: InitiationStepName
  status: InitiationStepStatus
}

/** A fresh list of initiation steps, none begun. */
export function newInitiationSteps(): InitiationStep[] {
  return initiationStepNames.map((name) => ({ name, status: 'NOT_STARTED' }))
}

/**
 * `steps` with `event` of the one called `name`. Every step before it has then succeeded, but those that were skipped. Pure.
 * @throws ConflictError when the table does not allow it.
 */
export function markInitiationStep(
  steps: readonly InitiationStep[],
  name: InitiationStepName,
  event: InitiationStepEvent,
): InitiationStep[] {
  const position = initiationStepNames.indexOf(name)
  return steps.map((step) => {
    const own = initiationStepNames.indexOf(step.name)
    if (own === position) return moved(step, event)
    return own < position && step.status !== 'SKIPPED' ? moved(step, 'SUCCEED') : step
  })
}

function moved(step: InitiationStep, event: InitiationStepEvent): InitiationStep {
  const transition = advanceInitiationStep(step.status, event)
  if (!transition.ok) throw new ConflictError(`${transition.reason} (initiation step ${step.name})`)
  return { ...step, status: transition.to }
}
