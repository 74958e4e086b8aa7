/**
 * The end of a migration. Nothing leads back from it, so it is written only once the cutover machine is known to stand alone.
 * @module
 */
import type { SourceServer } from './source_server.ts'
import { withoutReplicationError } from './replication_error.ts'
import { withLifecycle, withReplication } from './source_server.ts'
import { withoutThresholds } from './thresholds.ts'

/**
 * `server` cut over: its migration is complete, replication is over and the agent is told to go. The same object when it was already.
 * @param apiCallAt when the operator asked for it
 * @throws ConflictError when it is not cutting over.
 */
export function completeCutover(server: SourceServer, apiCallAt: string, at: string): SourceServer {
  if (server.lifecycle.state === 'CUTOVER') return server
  const because = 'The migration is complete'
  const over = withReplication(withLifecycle(server, 'FINALIZE', at), 'DISCONNECT', at)
  const final = withoutThresholds(withoutReplicationError(over, because, at), because, at)
  const lastCutover = { ...final.lifecycle.lastCutover, finalized: { apiCallAt } }
  return {
    ...final,
    lifecycle: { ...final.lifecycle, lastCutover },
    agent: { ...final.agent, desired: 'UNINSTALL' },
  }
}
