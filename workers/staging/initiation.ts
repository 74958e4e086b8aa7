/**
 * MGN's initiation steps on the server's record, as the staging steps pass them.
 * @module
 */
import type { InitiationStepEvent, InitiationStepName } from '../../domain/initiation.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import { advanceInitiationStep, markInitiationStep } from '../../domain/initiation.ts'

/**
 * `server` after `event` of the initiation step; the same object when it leads nowhere else, so that looking again writes nothing.
 * @throws ConflictError when the table of step statuses does not allow it.
 */
export function withStep(
  server: SourceServer,
  name: InitiationStepName,
  event: InitiationStepEvent,
): SourceServer {
  const { initiation } = server.replication
  const from = initiation.steps.find((step) => step.name === name)?.status
  const step = from === undefined ? undefined : advanceInitiationStep(from, event)
  if (step?.ok === true && step.to === from) return server
  const steps = markInitiationStep(initiation.steps, name, event)
  return { ...server, replication: { ...server.replication, initiation: { ...initiation, steps } } }
}
