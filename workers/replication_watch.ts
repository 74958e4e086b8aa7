/**
 * Looking after what replicates: agents that fall silent, staging areas whose next attempt is due, disks that need a volume.
 * @module
 */
import type { SourceServer } from '../domain/source_server.ts'
import type { Thresholds } from '../domain/thresholds.ts'
import type { Bench } from './bench.ts'
import { hasStagingArea, withStaging } from '../domain/actions.ts'
import { agentNotSeen, lastHeardAt, withAgentNotSeen, withAgentSilent } from '../domain/agent_silence.ts'
import { withExtension } from '../domain/disk_changes.ts'
import { advanceDataReplication } from '../domain/replication.ts'
import { withReplication } from '../domain/source_server.ts'
import { withThresholds } from '../domain/thresholds.ts'
import { changeServer, now } from './bench.ts'
import { stagingRetryMs } from './outcomes.ts'
import { agentSilenceMs } from './silence.ts'

/**
 * `server` after a look: work on its staging area begun when it is due, stalled when its agent is silent, told that the certificate of the
 * silent agent has expired meanwhile, else as it was.
 */
export async function watchReplication(bench: Bench, server: SourceServer): Promise<SourceServer> {
  const time = bench.clock().getTime()
  if (isStagingDue(server, time)) {
    return changeServer(bench, server.sourceServerId, (current) =>
      isStagingDue(current, time) ? withStaging(withoutNextAttempt(current), now(bench)) : undefined,
    )
  }
  // Looked at first, so that nothing is read or written of a server that has nothing to do.
  if (withExtension(server, now(bench)) !== server)
    return changeServer(bench, server.sourceServerId, (current) => withExtension(current, now(bench)))
  const heardAt = lastHeardAt(server)
  if (time - Date.parse(heardAt) < agentSilenceMs) return server
  const told = (current: SourceServer): SourceServer => {
    // It has been heard since.
    if (lastHeardAt(current) !== heardAt) return current
    const at = now(bench)
    return withAgentSilent(withReplicationOfSilent(current, bench.thresholds, at), at)
  }
  return told(server) === server ? server : changeServer(bench, server.sourceServerId, told)
}

/** What the silence of its agent means for the replication of `server`: nothing where none is wanted. */
function withReplicationOfSilent(server: SourceServer, thresholds: Thresholds, at: string): SourceServer {
  const { agent, replication } = server
  if (agent.desired !== 'REPLICATE' || replication.replicationServerId === undefined) return server
  if (replication.state === 'STALLED') return withLagTold(withSilenceTold(server, at), thresholds, at)
  return advanceDataReplication(replication.state, 'STALL').ok
    ? withAgentNotSeen(withReplication(server, 'STALL', at), at)
    : server
}

/** Whether a staging area that could not be raised is to be tried again by now. */
function isStagingDue(server: SourceServer, timeMs: number): boolean {
  const { nextAttemptAt } = server.replication.initiation
  const isOver = ['CUTOVER', 'DISCONNECTED', 'STOPPED'].includes(server.lifecycle.state)
  if (nextAttemptAt === undefined || isOver || server.activeTask !== undefined || hasStagingArea(server))
    return false
  const waitMs = Date.parse(nextAttemptAt) - timeMs
  // Longer than any wait there is: the clock was set back.
  return waitMs <= 0 || waitMs > 2 * stagingRetryMs
}

function withoutNextAttempt(server: SourceServer): SourceServer {
  const { nextAttemptAt: _due, ...initiation } = server.replication.initiation
  return { ...server, replication: { ...server.replication, initiation } }
}

/**
 * `server`, stalled for its silent agent, with what is to be said of that by now: the certificate of an agent that stays away expires, and
 * an agent that has enrolled again has a new one. The same object when that is said, and when it is stalled for something else.
 */
function withSilenceTold(server: SourceServer, at: string): SourceServer {
  const told = server.replication.error
  if (told?.error !== 'AGENT_NOT_SEEN' || server.agent.uninstalledAt !== undefined) return server
  const error = agentNotSeen(server, at)
  const isSaid = told.rawError === error.rawError && told.whatToDo === error.whatToDo
  return isSaid ? server : withAgentNotSeen(server, at)
}

/** `server`, stalled, with its lag told, which grows while nothing is heard. */
function withLagTold(server: SourceServer, thresholds: Thresholds, at: string): SourceServer {
  const { lastConsistentAt } = server.replication
  if (lastConsistentAt === undefined) return server
  const lagMs = Date.parse(at) - Date.parse(lastConsistentAt)
  return withThresholds(server, { lagMs, backlogBytes: null }, thresholds, at)
}
