/**
 * The calls of an enrolled replication server: heartbeat, renewal, consistency points.
 * @module
 */
import type { ReplicationServer } from '../../domain/enrolment.ts'
import type { SourceServerId } from '../../domain/ids.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type {
  ConsistencyReached,
  Enrolled,
  Renew,
  ReplicatorDesired,
  ReplicatorHeartbeat,
} from '../../wire/control_api.ts'
import type { Services } from '../services.ts'
import { expireConsistencyPoint, reachConsistencyPoint } from '../../domain/consistency_point.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { isId } from '../../domain/ids.ts'
import { withReplicationError } from '../../domain/replication_error.ts'
import { withEvent } from '../../domain/source_server.ts'
import { mutate } from '../../store/mutate.ts'
import { replicatorServerName, replicatorUri } from '../../wire/control_api.ts'
import { isRenewalDue } from '../certificates/issuer.ts'
import { Refusal } from '../problem.ts'
import { changeServer } from '../server_changes.ts'
import { replicatorDesired } from './desired.ts'
import { settleSerial } from './identity.ts'

/** "Last seen" alone is written this often. */
const quietWriteIntervalMs = 5000

/** Events waiting for the relay above which notes are no longer added: the item must not outgrow the store. */
const maxWaitingEvents = 200

/** A replication server that has shown its certificate. */
export interface CallingReplicator {
  replicationServer: ReplicationServer
  serial: string
}

/** Takes in what the replication server is doing and answers with whom it serves. */
export async function replicatorBeats(
  services: Services,
  caller: CallingReplicator,
  body: ReplicatorHeartbeat,
): Promise<ReplicatorDesired> {
  const now = services.clock()
  const at = now.toISOString()
  const { replicationServerId } = caller.replicationServer
  const { value: current } = await mutate(
    services.store,
    'replicationServer',
    { id: replicationServerId },
    (replicationServer) => withReport(settleSerial(replicationServer, caller.serial), body, at),
  )
  const servers: SourceServer[] = []
  for (const { sourceServerId } of await services.fleet.of(replicationServerId)) {
    // Read afresh: whether held writes may go is decided by this answer.
    const found = await services.store.get('server', { id: sourceServerId })
    if (found === undefined) continue
    const session = body.sessions.find((candidate) => candidate.sourceServerId === sourceServerId)
    // While an agent is connected its own report is the better one.
    const error = session?.isConnected === true ? undefined : session?.error
    const notes = session?.notes ?? []
    servers.push(
      await changeServer(
        services,
        sourceServerId,
        (server) => withNotes(withSessionError(expireConsistencyPoint(server, at), error, at), notes, at),
        found,
      ),
    )
  }
  return replicatorDesired(current, servers, {
    scrub: services.scrub,
    isRenewalDue:
      current.certificateNotAfter !== undefined &&
      isRenewalDue(current.certificateNotAfter, services.issuer.validityMs, now),
  })
}

function withReport(
  replicationServer: ReplicationServer,
  body: ReplicatorHeartbeat,
  at: string,
): ReplicationServer {
  if (replicationServer.state === 'REMOVED') return replicationServer
  const seen = replicationServer.lastSeenAt
  const isNews =
    replicationServer.state !== 'READY' ||
    replicationServer.version !== body.version ||
    replicationServer.port === undefined
  const isDue = seen === undefined || Date.parse(at) - Date.parse(seen) >= quietWriteIntervalMs
  if (!isNews && !isDue) return replicationServer
  return {
    ...replicationServer,
    state: 'READY',
    version: body.version,
    lastSeenAt: at,
    port: replicationServer.port ?? body.port,
  }
}

/**
 * Shows what a session on the replication server suffers from, unless an error is shown already: the agent's own word is the better one,
 * and two that took turns would be two events a second.
 */
function withSessionError(server: SourceServer, error: string | undefined, at: string): SourceServer {
  if (error === undefined || server.replication.error !== undefined) return server
  const isOver = server.lifecycle.state === 'CUTOVER' || server.lifecycle.state === 'DISCONNECTED'
  if (isOver) return server
  const problem = {
    error: 'NOT_CONVERGING',
    rawError: error,
    whatToDo: 'See the log of the replication server; the agent tries again by itself once the cause is gone',
  } as const
  return withReplicationError(server, problem, at, {
    type: 'REPLICATOR',
    actor: 'replicator',
    message: error,
  })
}

/** What the replication server found, as events: of many at once, a few say enough. */
function withNotes(
  server: SourceServer,
  notes: NonNullable<ReplicatorHeartbeat['sessions'][number]['notes']>,
  at: string,
): SourceServer {
  return notes
    .slice(0, Math.max(0, maxWaitingEvents - server.outbox.length))
    .reduce(
      (next, { level, message }) =>
        withEvent(next, at, { type: 'REPLICATOR', actor: 'replicator', level, message }),
      server,
    )
}

/**
 * Records that a barrier is durable and later writes are held back.
 * @throws Refusal 403 when the server is not served there; ConflictError when the point is no longer wanted: the writes may go on.
 */
export async function replicatorReaches(
  services: Services,
  caller: CallingReplicator,
  body: ConsistencyReached,
): Promise<void> {
  const at = services.clock().toISOString()
  const id = body.sourceServerId
  if (!isId('sourceServer', id)) throw new NotFoundError('server', id)
  await changeServer(services, id satisfies SourceServerId, (server) => {
    if (server.replication.replicationServerId !== caller.replicationServer.replicationServerId) {
      throw new Refusal(
        403,
        'forbidden',
        `Server ${id} is not served by replication server ${caller.replicationServer.replicationServerId}`,
      )
    }
    return reachConsistencyPoint(server, body, at)
  })
}

/** Issues the next certificate; the one presented stays good until the new one is used. */
export async function replicatorRenews(
  services: Services,
  caller: CallingReplicator,
  body: Renew,
): Promise<Enrolled> {
  const { replicationServerId } = caller.replicationServer
  const certificate = await services.issuer.issue(body.csrPem, {
    uri: replicatorUri(replicationServerId),
    dnsNames: [replicatorServerName],
  })
  await mutate(services.store, 'replicationServer', { id: replicationServerId }, (replicationServer) => ({
    ...replicationServer,
    certificateSerial: certificate.serial,
    certificateNotAfter: certificate.notAfter,
    previousCertificateSerial: caller.serial,
  }))
  return {
    subjectId: replicationServerId,
    certificatePem: certificate.certificatePem,
    caPem: services.issuer.caPem,
  }
}
