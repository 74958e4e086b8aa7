/**
 * The last two initiation steps: the agent's connection to its replication server, and the first byte. The agent's heartbeat tells of them.
 * @module
 */
import type { DataReplicationError } from './replication.ts'
import type { SourceServer } from './source_server.ts'
import { withInitiationStep } from './initiation_step.ts'

/** What a heartbeat says of them. */
export interface ContactReport {
  isConnected: boolean
  firstByteAt?: string | undefined
  error?: DataReplicationError | undefined
}

/** `server` with the last two initiation steps, which only the agent sees pass; unchanged when neither moves. */
export function withInitiation(server: SourceServer, report: ContactReport, at: string): SourceServer {
  let next = server
  const statusOf = (name: string) =>
    next.replication.initiation.steps.find((step) => step.name === name)?.status
  const mark = (
    name: 'CONNECT_AGENT_TO_REPLICATION_SERVER' | 'START_DATA_TRANSFER',
    event: 'SUCCEED' | 'FAIL',
    message: string,
  ) => {
    const level = event === 'FAIL' ? 'WARNING' : 'INFO'
    next = withInitiationStep(next, name, event, at, { actor: 'agent', level, message })
  }
  if (report.isConnected && statusOf('CONNECT_AGENT_TO_REPLICATION_SERVER') !== 'SUCCEEDED') {
    mark('CONNECT_AGENT_TO_REPLICATION_SERVER', 'SUCCEED', 'The agent is connected to the replication server')
  }
  const failed = report.error?.error
  if (
    failed === 'FAILED_TO_CONNECT_AGENT_TO_REPLICATION_SERVER' &&
    statusOf('CONNECT_AGENT_TO_REPLICATION_SERVER') === 'IN_PROGRESS'
  ) {
    mark('CONNECT_AGENT_TO_REPLICATION_SERVER', 'FAIL', 'The agent cannot reach the replication server')
  }
  if (report.firstByteAt !== undefined && next.lifecycle.firstByteAt === undefined) {
    // The gateway's own clock: the agent's may be wrong by hours, and durations are computed from this.
    next = { ...next, lifecycle: { ...next.lifecycle, firstByteAt: at } }
  }
  if (report.firstByteAt !== undefined && statusOf('START_DATA_TRANSFER') !== 'SUCCEEDED') {
    mark('START_DATA_TRANSFER', 'SUCCEED', 'The first byte has arrived')
  }
  return next
}
