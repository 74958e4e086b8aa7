/**
 * MGN's initiation steps on the server's record, as the staging steps pass them.
 * @module
 */
import type { InitiationStepName, InitiationStepStatus } from '../../domain/replication.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import { markInitiationStep } from '../../domain/replication.ts'

/** `server` with the initiation step at `status`; the same object when it was there already, so that looking again writes nothing. */
export function withStep(
  server: SourceServer,
  name: InitiationStepName,
  status: InitiationStepStatus,
): SourceServer {
  const { initiation } = server.replication
  if (initiation.steps.find((step) => step.name === name)?.status === status) return server
  const steps = markInitiationStep(initiation.steps, name, status)
  return { ...server, replication: { ...server.replication, initiation: { ...initiation, steps } } }
}
