/**
 * The facts of an agent whose replication goes on without trouble.
 * @module
 */
import type { StateFacts } from '../../../agent/sync/state_keeper.ts'

/** What its keeper of the state is told. */
export const calmFacts: StateFacts = {
  mode: 'REPLICATE',
  hasDiskFault: false,
  isInitialSync: false,
  isRescanning: false,
  isReachingConsistencyPoint: false,
  backlogBytes: 0,
  lagMs: 100,
}
