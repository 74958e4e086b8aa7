/**
 * Which server an agent's machine is: one that it is already, one that is awaited, or a new one. All are asked of the store, not only of what is held: an
 * import may have named the machine a moment ago, or another gateway have enrolled it.
 * @module
 */
import type { SourceProperties, SourceServer } from '../../domain/source_server.ts'
import type { AgentEnrol } from '../../wire/control_api.ts'
import type { Services } from '../services.ts'
import { awaitedByName, hostNames, isAwaited } from '../../domain/awaited_server.ts'
import { findSameMachine } from '../../domain/agent_contact.ts'
import { ConflictError } from '../../domain/errors.ts'
import { serversNoted } from '../../store/awaited_names.ts'
import { forgetMachine, serversOfMachine } from '../../store/known_machines.ts'
import { ownerOf } from '../awaited_servers.ts'

/** Where the machine belongs, and what to say of that. */
export interface Place {
  /** Undefined for a server of its own. */
  awaited: SourceServer | undefined
  doubts: string[]
}

/** The server that the machine is already; one that was just made is noted, one whose addresses have changed since is held. */
export async function knownAs(
  { store, fleet }: Services,
  properties: SourceProperties,
): Promise<SourceServer | undefined> {
  const noted = findSameMachine(await serversOfMachine(store, properties), properties)
  return noted ?? findSameMachine(await fleet.list(), properties)
}

/**
 * Takes back a server just made when its machine was enrolled as another one at the same moment. Each of two may go so, and neither stays beside the other: the notes
 * of both were written before either server.
 * @throws ConflictError
 */
export async function requireOnly({ store }: Services, made: SourceServer, revision: number): Promise<void> {
  const { sourceServerId, sourceProperties } = made
  const noted = await serversOfMachine(store, sourceProperties)
  const others = noted.filter((server) => server.sourceServerId !== sourceServerId)
  const other = findSameMachine(others, sourceProperties)
  if (other === undefined) return
  await store.remove('server', { id: sourceServerId }, revision)
  await forgetMachine(store, sourceProperties, sourceServerId)
  throw new ConflictError(
    `This machine was enrolled as server ${other.sourceServerId} at the same moment; try again in a minute`,
  )
}

/** The place of a machine that is not known. @throws ConflictError when somebody makes a server with its id at this moment. */
export async function placeOf(services: Services, body: AgentEnrol): Promise<Place> {
  const { userProvidedId } = body
  if (userProvidedId !== undefined) {
    const owner = await ownerOf(services, userProvidedId)
    if (owner === undefined) return { awaited: undefined, doubts: [] }
    if (isAwaited(owner)) return { awaited: owner, doubts: [] }
    const doubt = `The id ${userProvidedId} is that of server ${owner.sourceServerId} already, which is another machine; this one is a server of its own`
    return { awaited: undefined, doubts: [doubt] }
  }
  const properties = body.sourceProperties as SourceProperties
  const named = awaitedByName(await serversNoted(services.store, hostNames(properties)), properties)
  if (named.length <= 1) return { awaited: named[0], doubts: [] }
  const ids = named.map(({ sourceServerId }) => sourceServerId).join(', ')
  const doubt = `Agents of ${ids} are awaited under the name of this host, and it is not known which one this is: it is a server of its own. Give the agent --user-provided-id to say it`
  return { awaited: undefined, doubts: [doubt] }
}

/**
 * What to say of a machine that is server `known` already and comes with an id that this does not have. It stays that server.
 * @throws ConflictError when another server is awaited under the id: either could be meant, and the wrong record would have its disks launched as another machine.
 */
export async function doubtsOfKnown(
  services: Services,
  { userProvidedId: id }: AgentEnrol,
  known: SourceServer,
): Promise<string[]> {
  if (id === undefined || id === known.userProvidedId) return []
  const owner = await ownerOf(services, id)
  const own = known.sourceServerId
  const stays = `The machine stays server ${own}, which has ${known.userProvidedId === undefined ? 'no id of yours' : `the id ${known.userProvidedId}`}`
  if (owner === undefined) return [`The id ${id} that the agent was given is not taken over. ${stays}`]
  const other = owner.sourceServerId
  if (!isAwaited(owner)) return [`The id ${id} that the agent was given is that of server ${other}. ${stays}`]
  throw new ConflictError(
    `This machine is server ${own} already, and server ${other} is awaited under the id ${id}: it is not known which one you mean. ` +
      `To go on as ${own}, enrol without --user-provided-id; to begin anew as ${other}, disconnect and archive ${own} first`,
  )
}
