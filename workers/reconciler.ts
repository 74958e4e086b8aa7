/**
 * The reconciler: whatever follows from the store and is missing is made again. It is what makes losing Redis, or a process between two
 * writes, cost nothing but time.
 * @module
 */
import type { SourceServer } from '../domain/source_server.ts'
import type { Task } from '../domain/task.ts'
import type { Bench } from './bench.ts'
import { withStaging } from '../domain/actions.ts'
import { decideAction } from '../domain/actions.ts'
import { errorMessage, NotFoundError } from '../domain/errors.ts'
import { withEvent, withReplication } from '../domain/source_server.ts'
import { newTask, nextQueue } from '../queues/task_steps.ts'
import { ensureActiveTask } from '../store/active_task.ts'
import { changeServer, now } from './bench.ts'
import { listAll } from './listing.ts'
import { relayServer } from './relay.ts'

/** An agent silent for this long is not there. */
const agentSilenceMs = 60_000
/** A replication server silent for this long is looked at. */
const replicationServerSilenceMs = 15_000

/** Wakes a worker for `task`. An ended task goes to the cleanup queue once more: its end may not have been told. */
export async function wake(bench: Pick<Bench, 'wakeUps'>, task: Task): Promise<void> {
  await bench.wakeUps.add(nextQueue(task) ?? 'cleanup', task.taskId)
}

/** Looks at everything once. Trouble with one server does not keep the others from being looked at. */
export async function reconcile(bench: Bench): Promise<void> {
  for (const server of await listAll(bench.store, 'server')) {
    try {
      await relayServer(bench, server)
      await ensureActiveTask(bench.store, server, { newTask, wake: (task) => wake(bench, task) })
      await lookAfterReplication(bench, server)
    } catch (error) {
      if (error instanceof NotFoundError) continue
      bench.log.error({ sourceServerId: server.sourceServerId, err: error }, `Cannot reconcile: ${errorMessage(error)}`)
    }
  }
  await lookAfterReplicationServers(bench)
}

/** Agents that are silent, and staging areas whose next attempt is due. */
async function lookAfterReplication(bench: Bench, server: SourceServer): Promise<void> {
  const time = bench.clock().getTime()
  const { nextAttemptAt } = server.replication.initiation
  if (nextAttemptAt !== undefined && Date.parse(nextAttemptAt) <= time && server.activeTask === undefined) {
    const retried = await changeServer(bench, server.sourceServerId, (current) =>
      current.activeTask === undefined && decideAction(current, 'RETRY').possible ? withStaging(withoutNextAttempt(current), now(bench)) : undefined,
    )
    await ensureActiveTask(bench.store, retried, { newTask, wake: (task) => wake(bench, task) })
    return
  }
  const isWanted = server.agent.desired === 'REPLICATE' && server.replication.replicationServerId !== undefined
  const seenAt = server.agent.lastSeenAt ?? server.createdAt
  if (!isWanted || server.replication.state === 'STALLED' || time - Date.parse(seenAt) < agentSilenceMs) return
  await changeServer(bench, server.sourceServerId, (current) => withSilentAgent(current, seenAt, now(bench)))
}

function withoutNextAttempt(server: SourceServer): SourceServer {
  const { nextAttemptAt: _due, ...initiation } = server.replication.initiation
  return { ...server, replication: { ...server.replication, initiation } }
}

/** `server` stalled because its agent is silent; unchanged when the agent has been seen since. */
function withSilentAgent(server: SourceServer, seenAt: string, at: string): SourceServer | undefined {
  if ((server.agent.lastSeenAt ?? server.createdAt) !== seenAt) return undefined
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

/** Starts replication servers again that have died. */
async function lookAfterReplicationServers(bench: Bench): Promise<void> {
  const time = bench.clock().getTime()
  for (const record of await listAll(bench.store, 'replicationServer')) {
    const { replicationServerId: id, state, lastSeenAt, createdAt } = record
    if (state === 'REMOVED' || time - Date.parse(lastSeenAt ?? createdAt) < replicationServerSilenceMs) continue
    try {
      const seen = await bench.cloud.describeReplicationServer(id)
      if (seen?.state !== 'STOPPED') continue
      bench.log.warn({ replicationServerId: id }, `Replication server ${id} has stopped; starting it again: ${seen.stateReason ?? 'no reason known'}`)
      await bench.cloud.restartReplicationServer(id)
    } catch (error) {
      bench.log.error({ replicationServerId: id, err: error }, `Cannot start replication server ${id} again: ${errorMessage(error)}`)
    }
  }
}
