/**
 * Looking after what replicates: agents that fall silent, staging areas whose next attempt is due, disks that need a volume.
 * @module
 */
import type { DataReplicationError } from '../domain/replication.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Thresholds } from '../domain/thresholds.ts'
import type { Bench } from './bench.ts'
import { hasStagingArea, withStaging } from '../domain/actions.ts'
import { agentNotSeen } from '../domain/agent_silence.ts'
import { withExtension } from '../domain/disk_changes.ts'
import { advanceDataReplication } from '../domain/replication.ts'
import { withEvent, withReplication } from '../domain/source_server.ts'
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
  const isWanted =
    server.agent.desired === 'REPLICATE' && server.replication.replicationServerId !== undefined
  const seenAt = seenAtOf(server)
  if (!isWanted || time - Date.parse(seenAt) < agentSilenceMs) return server
  if (server.replication.state !== 'STALLED')
    return changeServer(bench, server.sourceServerId, (current) =>
      withSilentAgent(current, seenAt, now(bench)),
    )
  const told = (current: SourceServer): SourceServer => {
    const at = now(bench)
    return withLagTold(withSilenceTold(current, seenAt, at), seenAt, bench.thresholds, at)
  }
  return told(server) === server ? server : changeServer(bench, server.sourceServerId, told)
}

function seenAtOf({ agent, createdAt }: SourceServer): string {
  return agent.lastSeenAt ?? createdAt
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

/** `server` stalled because its agent is silent; unchanged when the agent has been seen since. */
function withSilentAgent(server: SourceServer, seenAt: string, at: string): SourceServer | undefined {
  const hasBeenSeen = seenAtOf(server) !== seenAt
  if (hasBeenSeen || !advanceDataReplication(server.replication.state, 'STALL').ok) return undefined
  return withError(withReplication(server, 'STALL', at), agentNotSeen(server, at), at)
}

/**
 * `server`, stalled for its silent agent, with what is to be said of that by now: the certificate of an agent that stays away expires, and
 * an agent that has enrolled again has a new one. The same object when that is said, when it is stalled for something else, or when the agent
 * has been seen since.
 */
function withSilenceTold(server: SourceServer, seenAt: string, at: string): SourceServer {
  const { state, error: told } = server.replication
  if (state !== 'STALLED' || told?.error !== 'AGENT_NOT_SEEN' || seenAtOf(server) !== seenAt) return server
  if (server.agent.uninstalledAt !== undefined) return server
  const error = agentNotSeen(server, at)
  return told.rawError === error.rawError && told.whatToDo === error.whatToDo
    ? server
    : withError(server, error, at)
}

/** `server` with its lag told, which grows while nothing is heard; the same object when the agent has been seen since. */
function withLagTold(server: SourceServer, seenAt: string, thresholds: Thresholds, at: string): SourceServer {
  const { state, lastConsistentAt } = server.replication
  if (state !== 'STALLED' || lastConsistentAt === undefined || seenAtOf(server) !== seenAt) return server
  const lagMs = Date.parse(at) - Date.parse(lastConsistentAt)
  return withThresholds(server, { lagMs, backlogBytes: null }, thresholds, at)
}

function withError(server: SourceServer, error: DataReplicationError, at: string): SourceServer {
  return withEvent({ ...server, replication: { ...server.replication, error } }, at, {
    type: 'AGENT',
    level: 'WARNING',
    message: `${error.error}: ${error.rawError}`,
    detail: { state: 'NOT_SEEN', error: error.error },
  })
}
