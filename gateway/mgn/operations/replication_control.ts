/**
 * Replication: start, stop, pause, resume, and try again.
 * @module
 */
import { actionOperation } from './source_servers.ts'

export const replicationControlOperations = [
  actionOperation('StartReplication', 'START_REPLICATION'),
  actionOperation('StopReplication', 'STOP_REPLICATION'),
  actionOperation('PauseReplication', 'PAUSE'),
  actionOperation('ResumeReplication', 'RESUME'),
  actionOperation('RetryDataReplication', 'RETRY'),
]
