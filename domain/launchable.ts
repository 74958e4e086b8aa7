/**
 * Whether the replica of a server can reach a consistency point, which launches and verifications need, and why not. Pure.
 * @module
 */
import type { Decision } from './decision.ts'
import type { DataReplicationState } from './replication.ts'
import type { SourceServer } from './source_server.ts'
import { possible, refuse } from './decision.ts'
import { uncoveredInWords } from './disk_changes.ts'

/** Why a replica in this state cannot reach a consistency point; absent where it can. */
const notConsistent: Partial<Record<DataReplicationState, string>> = {
  STOPPED: 'replication has not started',
  INITIATING: 'replication is still starting',
  INITIAL_SYNC: 'the first copy of the disks is not finished',
  PAUSED: 'replication is paused; resume it first',
  RESCAN: 'the disks are being compared again after an interruption; wait until that is done',
  STALLED: 'replication is stalled',
  DISCONNECTED: 'the server is disconnected',
  PENDING_SNAPSHOT_SHIPPING: 'no snapshot has been shipped yet',
  SHIPPING_SNAPSHOT: 'a snapshot is still being shipped',
}

/** Why the replica of `server` cannot reach a consistency point, with what stopped its replication; undefined where it can. */
export function inconsistencyInWords({
  agent,
  replication: { state, error },
}: SourceServer): string | undefined {
  const why = notConsistent[state]
  if (state === 'PAUSED' && agent.desired === 'REPLICATE')
    return 'replication is about to go on after a pause'
  if (state !== 'STALLED') return why
  return `${why}: ${error?.rawError ?? 'its events say what stopped it'}`
}

/** Whether the replica can reach a consistency point, which every launch needs. */
export function decideLaunchable(server: SourceServer): Decision {
  const why = inconsistencyInWords(server)
  if (why !== undefined) return refuse(`A launch needs a replica that is up to date, and ${why}`)
  if (server.agent.desired !== 'REPLICATE')
    return refuse('A launch needs running replication; resume it first')
  const uncovered = uncoveredInWords(server)
  if (uncovered !== undefined) return refuse(`A launch needs all of every disk, and ${uncovered}`)
  return possible
}
