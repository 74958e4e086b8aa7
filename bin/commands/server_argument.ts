/**
 * The server that a command is for: named by its id, or by the id that its user gave it.
 * @module
 */
import type { SourceServerId } from '../../domain/ids.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import { isId } from '../../domain/ids.ts'
import type { ApiClient } from '../api_client.ts'

/** The argument as commands declare it. */
export const serverArgument = ['<server>', 'source server id, s-…, or your own id of it'] as const

/** The id of the server that `given` names. @throws Error naming those that it may mean, when it is not exactly one's. */
export async function serverIdOf(api: ApiClient, given: string): Promise<SourceServerId> {
  if (isId('sourceServer', given)) return given
  const servers = await api.getAll<SourceServer>('/servers?archived=true')
  const own = servers.filter(({ userProvidedId }) => userProvidedId === given)
  const [server, ...others] = own
  if (server !== undefined && others.length === 0) return server.sourceServerId
  if (server !== undefined)
    throw new Error(`${given} is your id of several servers: name one of ${idsOf(own)}`)
  const hosts = servers.filter(
    ({ sourceProperties }) => sourceProperties.identificationHints.hostname === given,
  )
  throw new Error(
    hosts.length > 0
      ? `${given} is a host name and no id: name ${idsOf(hosts)}`
      : `Cannot find source server ${given}: it is no server's id, nor your own id of one; rehost servers --archived lists both`,
  )
}

function idsOf(servers: readonly SourceServer[]): string {
  return servers.map(({ sourceServerId }) => sourceServerId).join(', ')
}
