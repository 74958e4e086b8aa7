/**
 * Initiation steps on the server's record: each status that changes is told in the same write. Pure.
 * @module
 */
import type { InitiationStepEvent, InitiationStepName, InitiationStepStatus } from './initiation.ts'
import { markInitiationStep } from './initiation.ts'
import type { NewEvent, SourceServer } from './source_server.ts'
import { withEvent } from './source_server.ts'

const words: Record<InitiationStepStatus, string> = {
  NOT_STARTED: 'is not begun',
  IN_PROGRESS: 'has begun',
  SUCCEEDED: 'has succeeded',
  FAILED: 'has failed',
  SKIPPED: 'is not needed here',
}

/**
 * `server` after `event` of the initiation step, with an event for each step that is moved by it; the same object when that is none, so that looking
 * again writes nothing.
 * @param told what is said of the step itself; of those before it only that they have succeeded.
 * @throws ConflictError when the table of step statuses does not allow it.
 */
export function withInitiationStep(
  server: SourceServer,
  name: InitiationStepName,
  event: InitiationStepEvent,
  at: string,
  told: Partial<NewEvent> = {},
): SourceServer {
  const { initiation } = server.replication
  const steps = markInitiationStep(initiation.steps, name, event)
  const moved = steps.filter(({ status }, place) => status !== initiation.steps[place]?.status)
  if (moved.length === 0) return server
  const after = { ...server, replication: { ...server.replication, initiation: { ...initiation, steps } } }
  return moved.reduce((next, step) => {
    const own = step.name === name ? told : {}
    return withEvent(next, at, {
      type: 'INITIATION_STEP',
      message: `${step.name} ${words[step.status]}`,
      ...(told.actor === undefined ? {} : { actor: told.actor }),
      ...own,
      detail: { ...own.detail, step: step.name, status: step.status },
    })
  }, after)
}
