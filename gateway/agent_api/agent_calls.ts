/**
 * The calls of an enrolled agent: start, heartbeat, renewal, farewell.
 * @module
 */
import type { Allowance } from '../../domain/bandwidth.ts'
import type { SourceDisk, SourceServer } from '../../domain/source_server.ts'
import type { Versioned } from '../../store/store.ts'
import type {
  AgentDesired,
  AgentHeartbeat,
  AgentStart,
  AgentStarted,
  Enrolled,
  Renew,
} from '../../wire/control_api.ts'
import type { ServerTelemetry } from '../../wire/telemetry.ts'
import type { Services } from '../services.ts'
import { startAgent, withAgentGone } from '../../domain/agent_contact.ts'
import { errorMessage } from '../../domain/errors.ts'
import { applyHeartbeat, isQuietlyDue } from '../../domain/heartbeat.ts'
import { copyInWords, withCopyTold } from '../../domain/machine_copy.ts'
import { agentUri } from '../../wire/control_api.ts'
import { isRenewalDue } from '../certificates/issuer.ts'
import { withDeadline } from '../deadline.ts'
import { Refusal } from '../problem.ts'
import { changeServer } from '../server_changes.ts'
import { TelemetryAwayError } from '../telemetry.ts'
import { agentDesired } from './desired.ts'
import { requireSerial, settleSerial } from './identity.ts'

/** A server whose agent has shown its certificate. */
export interface CallingAgent {
  known: Versioned<SourceServer>
  serial: string
}

/** Begins a new run of the agent. @throws Refusal 403 for a copy of a machine whose agent runs. */
export async function agentStarts(
  services: Services,
  caller: CallingAgent,
  body: AgentStart,
): Promise<AgentStarted> {
  const at = services.clock().toISOString()
  const start = { ...body, sourceProperties: body.sourceProperties as SourceServer['sourceProperties'] }
  let refusal: string | undefined
  const server = await changeServer(
    services,
    caller.known.value.sourceServerId,
    (current) => {
      refusal = copyInWords(current, start, at)
      if (refusal !== undefined) return withCopyTold(current, refusal, at)
      return startAgent(withSettledSerial(current, caller.serial), start, at)
    },
    caller.known,
  )
  if (refusal !== undefined) throw new Refusal(403, 'forbidden', refusal)
  return { generation: server.agent.generation }
}

/**
 * Takes in what the agent is doing and answers with what should be. In a large fleet a heartbeat without news is answered first and written down
 * behind the answer: a thousand agents a second don't wait for a store that is slow for a moment. One that fails is due again at the next heartbeat,
 * and is waited for before the agent would count as silent.
 * @throws ConflictError for another generation.
 */
export async function agentBeats(
  services: Services,
  caller: CallingAgent,
  body: AgentHeartbeat,
): Promise<AgentDesired> {
  const now = services.clock()
  const at = now.toISOString()
  const { value: known } = caller.known
  const report = {
    ...body,
    sourceDisks: body.sourceDisks as SourceDisk[] | undefined,
    allowance: known.lifecycle.state === 'NOT_READY' ? await allowanceNow(services, known) : undefined,
  }
  const { sourceServerId } = known
  const isBegunNow = body.firstByteAt !== undefined && known.lifecycle.firstByteAt === undefined
  const forecastOf = isBegunNow ? await services.forecasts.forecaster(known) : undefined
  const isDue = isQuietlyDue(known, at) && services.quietWrites.takeTurn(sourceServerId)
  const { isLarge } = services.held.servers
  const bringsAnswer = answersSomebody(body)
  const mayBeQuiet = isLarge && !bringsAnswer
  const changeOf = (mayWait: boolean) => (current: SourceServer) =>
    applyHeartbeat(
      withSettledSerial(current, caller.serial),
      report,
      at,
      mayWait,
      services.thresholds,
      forecastOf,
    )
  const server = await changeServer(
    services,
    sourceServerId,
    changeOf(mayBeQuiet || !isDue),
    bringsAnswer ? undefined : caller.known,
  )
  if (mayBeQuiet && isDue && server === known) {
    const change = changeOf(false)
    // What somebody else has written meanwhile, as a later heartbeat, is not taken back by this one, which has no news.
    const unlessWritten = (current: SourceServer) => (current === known ? change(current) : current)
    services.quietWrites.begin(sourceServerId, () => writeQuietly(services, caller, unlessWritten))
  }
  const offered = offerFigures(services, server, body, at)
  // It tells of its own failure. In a large fleet nobody waits for Redis either.
  if (!isLarge) await offered
  const { replicationServerId } = server.replication
  const replicationServer =
    replicationServerId === undefined
      ? undefined
      : (await services.held.replicationServers.read(replicationServerId))?.value
  return agentDesired(server, replicationServer, {
    isRenewalDue: isRenewalDue(server.agent.certificateNotAfter, services.issuer.validityMs, now),
    allowance: await services.bandwidth.allowanceOf(server),
  })
}

/** For the record of a first copy. A heartbeat is written down all the same where it cannot be had: the answer to it says why. */
async function allowanceNow(services: Services, known: SourceServer): Promise<Allowance | undefined> {
  return services.bandwidth.allowanceOf(known).catch(() => undefined)
}

/** What refuses it refuses the next heartbeat too, as what was held is dropped: that one is told. */
async function writeQuietly(
  services: Services,
  { known }: CallingAgent,
  change: (server: SourceServer) => SourceServer,
): Promise<void> {
  const { sourceServerId } = known.value
  try {
    await changeServer(services, sourceServerId, change, known)
  } catch (error) {
    services.log.warn(
      { sourceServerId, error: errorMessage(error) },
      'Cannot write down that the agent was heard of',
    )
  }
}

/** What was asked of the agent and is told once must meet the server that asked: what is known may be from before. */
function answersSomebody(body: AgentHeartbeat): boolean {
  const { consistencyFailure, pointOutcomes = [], verification, sourceDisks } = body
  return (
    consistencyFailure !== undefined ||
    pointOutcomes.length > 0 ||
    verification !== undefined ||
    sourceDisks !== undefined
  )
}

/** @throws Refusal 403 for a certificate that is over by now. */
function withSettledSerial(server: SourceServer, serial: string): SourceServer {
  requireSerial(server.agent, serial)
  const agent = settleSerial(server.agent, serial)
  return agent === server.agent ? server : { ...server, agent }
}

/** Shows the agent's own figures where no replicator reports yet. Trouble with Redis must not stop heartbeats. */
async function offerFigures(
  services: Services,
  server: SourceServer,
  body: AgentHeartbeat,
  at: string,
): Promise<void> {
  const figures: ServerTelemetry = {
    sourceServerId: server.sourceServerId,
    at,
    state: server.replication.state,
    lagMs: body.lagMs,
    backlogBytes: body.backlogBytes,
    bytesPerSecond: body.bytesPerSecond,
    durableBytes: body.disks.reduce((sum, disk) => sum + disk.replicatedBytes, 0),
    wireBytes: body.sentBytes,
    rescans: body.rescanEpoch,
    disks: body.disks.map((disk) => ({
      diskIndex: disk.diskIndex,
      sizeBytes: disk.sizeBytes,
      scannedBytes: disk.rescannedBytes > 0 ? disk.rescannedBytes : disk.replicatedBytes,
      backlogBytes: disk.backlogBytes,
      durableBytes: disk.replicatedBytes,
    })),
  }
  try {
    await withDeadline(services.telemetry.offer(figures), 500, 'Redis')
  } catch (error) {
    if (error instanceof TelemetryAwayError) return
    services.log.warn(
      { sourceServerId: server.sourceServerId, error: errorMessage(error) },
      'Cannot store live figures',
    )
  }
}

/** Issues the next certificate; the one presented stays good until the new one is used. */
export async function agentRenews(services: Services, caller: CallingAgent, body: Renew): Promise<Enrolled> {
  const { sourceServerId } = caller.known.value
  const certificate = await services.issuer.issue(body.csrPem, {
    uri: agentUri(sourceServerId),
    dnsNames: [],
  })
  await changeServer(services, sourceServerId, (server) => {
    requireSerial(server.agent, caller.serial)
    return {
      ...server,
      agent: {
        ...server.agent,
        certificateSerial: certificate.serial,
        certificateNotAfter: certificate.notAfter,
        previousCertificateSerial: caller.serial,
      },
    }
  })
  return {
    subjectId: sourceServerId,
    certificatePem: certificate.certificatePem,
    caPem: services.issuer.caPem,
  }
}

/** Records that the agent is gone from its server. */
export async function agentLeaves(services: Services, caller: CallingAgent): Promise<void> {
  const at = services.clock().toISOString()
  await changeServer(
    services,
    caller.known.value.sourceServerId,
    (server) => withAgentGone(server, at),
    caller.known,
  )
}
