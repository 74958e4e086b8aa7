/**
 * What a report of the agent says of data replication: the state that it is in, and what is wrong. Pure.
 * @module
 */
import type { MeasuredPace } from './convergence.ts'
import type { DataReplicationError, DataReplicationEvent, DataReplicationState } from './replication.ts'
import type { SourceServer } from './source_server.ts'
import { convergenceError, isConvergenceError } from './convergence.ts'
import { inventoryProblem } from './inventory.ts'
import { advanceDataReplication } from './replication.ts'
import { withReplicationError, withoutReplicationError } from './replication_error.ts'
import { withReplication } from './source_server.ts'
import { hasStagingArea } from './staging.ts'

/** What a heartbeat says of it. */
export interface StateReport {
  state: DataReplicationState
  pace?: MeasuredPace | undefined
  error?: DataReplicationError | undefined
}

/**
 * The event that a reported state stands for. An agent that waits (STOPPED, INITIATING) moves nothing: raising the staging area is the
 * workers' to tell. The shipping states belong to agentless sources.
 */
const eventOf: Partial<Record<DataReplicationState, DataReplicationEvent>> = {
  INITIAL_SYNC: 'BEGIN_INITIAL_SYNC',
  RESCAN: 'BEGIN_RESCAN',
  BACKLOG: 'FALL_BEHIND',
  CONTINUOUS: 'CATCH_UP',
  CREATING_SNAPSHOT: 'BEGIN_SNAPSHOT',
  STALLED: 'STALL',
  PAUSED: 'PAUSE',
}

/** States in which blocks flow: whatever was wrong before is over. */
const flowing: readonly DataReplicationState[] = [
  'INITIAL_SYNC',
  'RESCAN',
  'BACKLOG',
  'CONTINUOUS',
  'CREATING_SNAPSHOT',
]

/** Moves the replication state to the reported one where the table allows it. */
export function withReportedState(server: SourceServer, report: StateReport, at: string): SourceServer {
  const from = server.replication.state
  const event = eventOf[report.state]
  if (event === undefined || inventoryProblem(server) !== undefined) return server
  // What it still says of a staging area that is lost is of the past.
  if (flowing.includes(report.state) && !hasStagingArea(server)) return server
  // The workers say that a snapshot is being made; the agent goes on reporting what it does meanwhile.
  const request = server.consistencyRequest?.state
  if (
    from === 'CREATING_SNAPSHOT' &&
    (request === 'REQUESTED' || request === 'REACHED') &&
    flowing.includes(report.state)
  ) {
    return server
  }
  if (advanceDataReplication(from, event).ok) return withReplication(server, event, at, 'agent')
  // An agent may be ahead of the record by one step: it copies already, and the record says that nothing has begun.
  const isOneStepAhead =
    advanceDataReplication(from, 'INITIATE').ok && advanceDataReplication('INITIATING', event).ok
  return isOneStepAhead && flowing.includes(report.state)
    ? withReplication(withReplication(server, 'INITIATE', at, 'agent'), event, at, 'agent')
    : server
}

/** Keeps the reported error, and drops a former one once blocks flow again. What the workers found stays until then. */
export function withReportedError(server: SourceServer, report: StateReport, at: string): SourceServer {
  const known = server.replication.error
  const error = inventoryProblem(server) ?? report.error ?? convergenceError(report.state, report.pace, known)
  if (error !== undefined) {
    // Its figures change with every report: they are written down with the other measurements, without a word.
    const isKnownPace = isConvergenceError(error) && isConvergenceError(known)
    if (
      isKnownPace ||
      (known?.error === error.error && known.rawError === error.rawError && known.whatToDo === error.whatToDo)
    )
      return server
    return withReplicationError(server, error, at, { actor: 'agent' })
  }
  // Paused, nothing flows that would show it.
  if (report.state === 'PAUSED' && known?.error === 'AGENT_NOT_SEEN')
    return withoutReplicationError(server, 'The agent is heard again', at, 'agent')
  if (!flowing.includes(report.state) || !hasStagingArea(server)) return server
  return withoutReplicationError(server, 'Data replication goes on', at, 'agent')
}
