/**
 * First contact: a token and a signing request become a certificate and a record.
 * @module
 */
import type { Context } from 'hono'
import type { SourceServer } from '../../domain/source_server.ts'
import type { AgentEnrol, Enrolled, ReplicatorEnrol } from '../../wire/control_api.ts'
import type { Services } from '../services.ts'
import { withStaging } from '../../domain/actions.ts'
import { enrolAgain, isSameMachine } from '../../domain/agent_contact.ts'
import { ConflictError } from '../../domain/errors.ts'
import { isId, newId } from '../../domain/ids.ts'
import { awaitedByName, withAgentArrived } from '../../domain/awaited_server.ts'
import { chooseDisks } from '../../domain/inventory.ts'
import { newSourceServer, withEvent } from '../../domain/source_server.ts'
import { withTemplates } from '../../domain/template.ts'
import { noteMachine } from '../../store/known_machines.ts'
import { mutate } from '../../store/mutate.ts'
import { agentUri, replicatorServerName, replicatorUri } from '../../wire/control_api.ts'
import { claim, createOwner, newestTemplates } from '../awaited_servers.ts'
import { checkInstallationToken } from '../people/installation_tokens.ts'
import { usingToken } from '../people/token_uses.ts'
import { Refusal } from '../problem.ts'
import { limitKey, remoteAddress } from '../request.ts'
import { announce, changeServer } from '../server_changes.ts'
import { setWorkGoing } from '../work.ts'
import type { Place } from './enrolment_place.ts'
import { doubtsOfKnown, knownAs, placeOf, requireOnly } from './enrolment_place.ts'

/** Lets nobody go on who has shown too many wrong tokens. @throws Refusal 429 saying for how long. */
export async function requireTries(services: Services, c: Context): Promise<void> {
  const address = remoteAddress(c)
  const wait = services.rateLimits.token.waitSeconds(limitKey(address))
  if (wait === 0) return
  // In minutes: seconds would make each call's words new, and the log counts the same words.
  const detail = `Too many wrong installation tokens from ${address}; try again in ${Math.ceil(wait / 60)} min`
  throw new Refusal(429, 'too-many-attempts', detail, { headers: { 'Retry-After': String(wait) } })
}

/** Runs `use`, counting refusals of the token against the caller's address. */
export async function withTokenLimit<T>(services: Services, c: Context, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    if (error instanceof Refusal && error.status === 401)
      services.rateLimits.token.fail(limitKey(remoteAddress(c)))
    throw error
  }
}

/**
 * Enrols an agent. A refusal does not use up the token.
 * @throws Refusal for the token; InvalidInputError for the inventory or the request; ConflictError when the machine is live already.
 */
export async function enrolAgent(services: Services, body: AgentEnrol): Promise<Enrolled> {
  const { store, issuer, clock } = services
  const { value: token } = await checkInstallationToken(store, body.token, 'AGENT', clock())
  const sourceProperties = body.sourceProperties as SourceServer['sourceProperties']
  const disks = chooseDisks(sourceProperties.disks)
  const known = await knownAs(services, sourceProperties)
  const place: Place =
    known === undefined ? await placeOf(services, body) : { awaited: undefined, doubts: [] }
  const { awaited } = place
  const sourceServerId =
    known?.sourceServerId ?? awaited?.sourceServerId ?? newId('sourceServer', services.random)
  const certificate = await issuer.issue(body.csrPem, { uri: agentUri(sourceServerId), dnsNames: [] })
  const at = clock().toISOString()
  const agent = {
    version: body.version,
    certificateSerial: certificate.serial,
    certificateNotAfter: certificate.notAfter,
  }
  let doubts = place.doubts
  const again = (server: SourceServer) =>
    withDoubts(enrolAgain(server, { at, sourceProperties, disks, agent }), at, doubts)
  const arrive = (server: SourceServer) => {
    // An import may have given it the name of another host since it was looked for.
    if (body.userProvidedId === undefined && awaitedByName([server], sourceProperties).length === 0)
      throw new ConflictError(`Server ${sourceServerId} was changed while this machine enrolled; try again`)
    return withDisksLeftOut(
      withAgentArrived(server, { at, sourceProperties, disks, agent, tags: body.tags }),
      at,
    )
  }
  let certificateBefore: string | undefined
  if (known !== undefined) {
    // Asked of the stored server before a use of the token is taken; asked again in the write itself.
    const current = await store.get('server', { id: sourceServerId })
    if (current === undefined || !isSameMachine(sourceProperties, current.value.sourceProperties)) {
      throw new ConflictError(`Server ${sourceServerId} was changed while this machine enrolled; try again`)
    }
    doubts = await doubtsOfKnown(services, body, current.value)
    again(current.value)
    certificateBefore = current.value.agent.certificateSerial
  }
  if (awaited !== undefined) {
    // As above: an awaited server found by its host's name may be another agent's by now.
    const current = await store.get('server', { id: sourceServerId })
    if (current === undefined)
      throw new ConflictError(`Server ${sourceServerId} was deleted while this machine enrolled; try again`)
    arrive(current.value)
    certificateBefore = current.value.agent.certificateSerial
  }
  const use = {
    certificateSerial: certificate.serial,
    subject: sourceServerId,
    at,
    ...(certificateBefore === undefined ? {} : { certificateBefore }),
  }
  const server = await usingToken(store, token.tokenId, use, async () => {
    if (known !== undefined) return changeServer(services, sourceServerId, again)
    if (awaited === undefined)
      return createServer(services, body, { sourceServerId, at, sourceProperties, disks, agent }, doubts)
    await noteMachine(store, sourceProperties, sourceServerId)
    return changeServer(services, sourceServerId, arrive)
  })
  await setWorkGoing(services, server, 'agent')
  return { subjectId: sourceServerId, certificatePem: certificate.certificatePem, caPem: issuer.caPem }
}

/** `server` with an event for each disk that the agent left out. */
function withDisksLeftOut(server: SourceServer, at: string): SourceServer {
  const excluded = server.sourceProperties.disks.filter((disk) => disk.excludedBecause !== undefined)
  return excluded.reduce(
    (next, disk) =>
      withEvent(next, at, {
        type: 'AGENT',
        actor: 'agent',
        message: `Disk ${disk.deviceName} is left out: ${disk.excludedBecause ?? ''}`,
      }),
    server,
  )
}

function withDoubts(server: SourceServer, at: string, doubts: readonly string[]): SourceServer {
  return doubts.reduce(
    (next, message) => withEvent(next, at, { type: 'AGENT', level: 'WARNING', message }),
    server,
  )
}

async function createServer(
  services: Services,
  body: AgentEnrol,
  input: {
    sourceServerId: SourceServer['sourceServerId']
    at: string
    sourceProperties: SourceServer['sourceProperties']
    disks: SourceServer['disks']
    agent: Pick<SourceServer['agent'], 'version' | 'certificateSerial' | 'certificateNotAfter'>
  },
  doubts: readonly string[],
): Promise<SourceServer> {
  // Whoever has it already was told of; an import that takes it at this moment refuses this enrolment.
  const claimed = doubts.length === 0 ? body.userProvidedId : undefined
  if (claimed !== undefined) await requireOwnId(services, claimed, input.sourceServerId)
  const server = newSourceServer({
    ...input,
    agent: { ...input.agent, generation: 0, desired: 'REPLICATE' },
    ...(body.userProvidedId === undefined ? {} : { userProvidedId: body.userProvidedId }),
    ...(body.tags === undefined ? {} : { tags: body.tags }),
  })
  const told = withDoubts(withDisksLeftOut(server, input.at), input.at, doubts)
  const started = withStaging(withTemplates(told, await newestTemplates(services)), input.at)
  await noteMachine(services.store, input.sourceProperties, started.sourceServerId)
  const revision =
    claimed === undefined
      ? await services.store.create('server', { id: started.sourceServerId }, started)
      : await createOwner(services, started, claimed)
  await requireOnly(services, started, revision)
  await announce(services, { value: started, revision })
  return started
}

/** @throws ConflictError when another server was given the id since it was looked for. */
async function requireOwnId(
  services: Services,
  userProvidedId: string,
  sourceServerId: SourceServer['sourceServerId'],
): Promise<void> {
  const owner = await claim(services, userProvidedId, sourceServerId)
  if (owner !== undefined)
    throw new ConflictError(
      `Server ${owner.sourceServerId} was given the id ${userProvidedId} while this machine enrolled; try again`,
    )
}

/**
 * Enrols a replication server that a worker has raised and given a token.
 * @throws Refusal for the token or another server's id; NotFoundError when no worker raised it.
 */
export async function enrolReplicator(services: Services, body: ReplicatorEnrol): Promise<Enrolled> {
  const { store, issuer, clock } = services
  const { value: token } = await checkInstallationToken(store, body.token, 'REPLICATOR', clock())
  const id = body.replicationServerId
  if (token.replicationServerId !== id || !isId('replicationServer', id)) {
    throw new Refusal(
      403,
      'forbidden',
      `The token ${token.tokenId} is not meant for replication server ${id}`,
    )
  }
  const certificate = await issuer.issue(body.csrPem, {
    uri: replicatorUri(id),
    dnsNames: [replicatorServerName],
  })
  const known = await store.get('replicationServer', { id })
  const at = clock().toISOString()
  const use = {
    certificateSerial: certificate.serial,
    subject: id,
    at,
    ...(known?.value.certificateSerial === undefined
      ? {}
      : { certificateBefore: known.value.certificateSerial }),
  }
  const enrol = () =>
    mutate(store, 'replicationServer', { id }, (replicationServer) => {
      const { previousCertificateSerial: _old, ...rest } = replicationServer
      return {
        ...rest,
        certificateSerial: certificate.serial,
        certificateNotAfter: certificate.notAfter,
        version: body.version,
        lastSeenAt: at,
      }
    })
  await usingToken(store, token.tokenId, use, enrol)
  return { subjectId: id, certificatePem: certificate.certificatePem, caPem: issuer.caPem }
}
