/**
 * Which server an agent's machine is that no server is yet: one that is awaited, or a new one. Asked of the store, not of what is held: an import may
 * have named the machine a moment ago.
 * @module
 */
import type { SourceProperties, SourceServer } from '../../domain/source_server.ts'
import type { AgentEnrol } from '../../wire/control_api.ts'
import type { Services } from '../services.ts'
import { awaitedByName, hostNames, isAwaited } from '../../domain/awaited_server.ts'
import { serversNoted } from '../../store/awaited_names.ts'
import { ownerOf } from '../awaited_servers.ts'

/** Where the machine belongs, and what to say of that. */
export interface Place {
  /** Undefined for a server of its own. */
  awaited: SourceServer | undefined
  doubts: string[]
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
