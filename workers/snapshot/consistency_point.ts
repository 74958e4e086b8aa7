/**
 * Step: ask the agent for a consistency point and wait until the replicator holds it.
 * @module
 */
import type { ConsistencyPointId } from '../../domain/ids.ts'
import type { ConsistencyRequest, SourceServer } from '../../domain/source_server.ts'
import type { Task } from '../../domain/task.ts'
import type { Step, StepContext, StepResult, UndoContext } from '../step.ts'
import { dropConsistencyPoint, expireConsistencyPoint } from '../../domain/consistency_point.ts'
import { uncoveredInWords } from '../../domain/disk_changes.ts'
import { PermanentError } from '../../domain/errors.ts'
import { advanceDataReplication } from '../../domain/replication.ts'
import { withEvent, withReplication } from '../../domain/source_server.ts'
import { changeServer, now } from '../bench.ts'
import { agentSilenceMs } from '../silence.ts'
import { consistencyPointIdOf } from '../token.ts'

/** Asked again this often when a point was not reached. */
export const maxAttempts = 3
/** A point that is not reached in this time is given up: a busy source needs some passes before it can freeze. */
const requestLifetimeMs = 120_000
const lookAgainMs = 250

/** Which attempt of this task the server's current request is; 0 when it belongs to nobody here. */
function attemptOf(task: Task, request: ConsistencyRequest | undefined): number {
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    if (request?.consistencyPointId === consistencyPointIdOf(task.taskId, attempt)) return attempt
  }
  return 0
}

function withNewRequest(
  server: SourceServer,
  consistencyPointId: ConsistencyPointId,
  at: string,
): SourceServer {
  const expiresAt = new Date(Date.parse(at) + requestLifetimeMs).toISOString()
  // The agent says by itself when it is back in continuous mode.
  const isShown = advanceDataReplication(server.replication.state, 'BEGIN_SNAPSHOT').ok
  const asked: SourceServer = {
    ...(isShown ? withReplication(server, 'BEGIN_SNAPSHOT', at) : server),
    consistencyRequest: { consistencyPointId, state: 'REQUESTED', requestedAt: at, expiresAt },
  }
  return withEvent(asked, at, {
    type: 'CONSISTENCY_POINT',
    message: `Consistency point ${consistencyPointId} asked for`,
    detail: { consistencyPointId },
  })
}

/** @throws PermanentError when nobody is there to answer. */
function requireAgent(server: SourceServer, at: string): void {
  const { lastSeenAt } = server.agent
  if (lastSeenAt !== undefined && Date.parse(at) - Date.parse(lastSeenAt) <= agentSilenceMs) return
  const { hostname } = server.sourceProperties.identificationHints
  throw new PermanentError(
    `The agent on ${hostname} is not connected, so no consistent snapshot can be taken: it was last seen ${lastSeenAt === undefined ? 'never' : `at ${lastSeenAt}`}. ` +
      'See whether the machine is up and reaches this service on the agent port, then launch again',
  )
}

async function run(context: StepContext): Promise<StepResult> {
  const { bench, server } = context
  const at = now(bench)
  const current = await changeServer(bench, server.sourceServerId, (found) =>
    expireConsistencyPoint(found, at),
  )
  const request = current.consistencyRequest
  const attempt = attemptOf(context.task, request)
  if (request !== undefined && attempt > 0) {
    if (request.state === 'REACHED') return { done: { consistencyPointId: request.consistencyPointId } }
    if (request.state === 'REQUESTED') return { waitMs: lookAgainMs }
    if (attempt === maxAttempts) {
      throw new PermanentError(
        `No consistent snapshot in ${maxAttempts} attempts; the last one: ${request.failure ?? request.state}. ` +
          'See how far replication is behind, then launch again',
      )
    }
  }
  requireAgent(current, at)
  const uncovered = uncoveredInWords(current)
  if (uncovered !== undefined)
    throw new PermanentError(`No snapshot can be whole: ${uncovered}. Wait for that, then launch again`)
  await context.logJob('SNAPSHOT_START', 'Asking the agent for a consistency point')
  const next = consistencyPointIdOf(context.task.taskId, attempt + 1)
  context.signal.throwIfAborted()
  await changeServer(bench, server.sourceServerId, (found) =>
    // Whoever asked in between, another worker that has this task by now, is not overruled.
    found.consistencyRequest?.consistencyPointId === request?.consistencyPointId
      ? withNewRequest(found, next, at)
      : undefined,
  )
  return { waitMs: lookAgainMs }
}

/** Lets the replicator go on at once, instead of holding writes back until the point expires. */
async function undo({ bench, task, server }: UndoContext): Promise<void> {
  await changeServer(bench, server.sourceServerId, (current) =>
    attemptOf(task, current.consistencyRequest) === 0
      ? undefined
      : dropConsistencyPoint(current, 'the launch was given up', now(bench)),
  )
}

/** `request-consistency-point`. */
export const requestConsistencyPoint: Step = { name: 'request-consistency-point', run, undo }
