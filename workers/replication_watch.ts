/**
 * Looking after what replicates: agents that fall silent, staging areas whose next attempt is due, disks that need a volume.
 * @module
 */
import type { SourceServer } from '../domain/source_server.ts'
import type { Bench } from './bench.ts'
import { hasStagingArea, withStaging } from '../domain/actions.ts'
import { withExtension } from '../domain/disk_changes.ts'
import { advanceDataReplication } from '../domain/replication.ts'
import { withEvent, withReplication } from '../domain/source_server.ts'
import { changeServer, now } from './bench.ts'
import { stagingRetryMs } from './outcomes.ts'
import { agentSilenceMs } from './silence.ts'

/** `server` after a look: work on its staging area begun when it is due, stalled when its agent is silent, else as it was. */
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
  const seenAt = server.agent.lastSeenAt ?? server.createdAt
  if (!isWanted || server.replication.state === 'STALLED' || time - Date.parse(seenAt) < agentSilenceMs)
    return server
  return changeServer(bench, server.sourceServerId, (current) => withSilentAgent(current, seenAt, now(bench)))
}

/** Whether a staging area that could not be raised is to be tried again by now. */
function isStagingDue(server: SourceServer, timeMs: number): boolean {
  const { nextAttemptAt } = server.replication.initiation
  const isOver = server.lifecycle.state === 'CUTOVER' || server.lifecycle.state === 'DISCONNECTED'
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
  const hasBeenSeen = (server.agent.lastSeenAt ?? server.createdAt) !== seenAt
  if (hasBeenSeen || !advanceDataReplication(server.replication.state, 'STALL').ok) return undefined
  const rawError = `The agent was last seen at ${seenAt}`
  const stalled = withReplication(server, 'STALL', at)
  const { hostname } = server.sourceProperties.identificationHints
  return withEvent(
    {
      ...stalled,
      replication: {
        ...stalled.replication,
        error: {
          error: 'AGENT_NOT_SEEN',
          rawError,
          whatToDo: `See whether ${hostname} is up and reaches this service on the agent port; there: systemctl status rehost-agent`,
        },
      },
    },
    at,
    { type: 'AGENT', level: 'WARNING', message: `AGENT_NOT_SEEN: ${rawError}` },
  )
}
