/**
 * Servers that an import has named and whose agents have not come yet: what is known of them, which one an agent is of, and what becomes of the record
 * then. Pure.
 *
 * An agent that is told an id by its operator (`--user-provided-id`) is of the server that has that id, and of no other. One that is told none is of the
 * only server awaited under its host's full name. Whatever is not sure becomes a server of its own: the wrong record would have the agent's disks launched
 * as another machine.
 * @module
 */
import type { SourceServerId } from './ids.ts'
import type { EnrolledMachine } from './agent_contact.ts'
import type { SourceProperties, SourceServer } from './source_server.ts'
import { ConflictError } from './errors.ts'
import { blankServer, withEvent, withLifecycle } from './source_server.ts'
import { withStaging } from './staging.ts'
import { maxTags } from './tags.ts'

/** Whether the server's agent is awaited. */
export function isAwaited({ lifecycle, isArchived }: SourceServer): boolean {
  return lifecycle.state === 'PENDING_INSTALLATION' && !isArchived
}

/** A server to await. Nothing is known of its machine but what the import says. */
export function newAwaitedServer(input: {
  sourceServerId: SourceServerId
  at: string
  userProvidedId: string
  actor: string
  platform?: string | undefined
  fqdn?: string | undefined
}): SourceServer {
  const { sourceServerId, at, userProvidedId, actor, fqdn } = input
  const platform = input.platform?.toLowerCase()
  const server = blankServer({
    sourceServerId,
    at,
    userProvidedId,
    // A name for lists and launches until the agent tells that of the host.
    name: fqdn ?? userProvidedId,
    sourceProperties: {
      lastUpdatedAt: at,
      identificationHints: { hostname: fqdn ?? userProvidedId, fqdn: fqdn ?? '' },
      os: { fullString: '', family: platform === 'linux' || platform === 'windows' ? platform : 'unknown' },
      cpus: [],
      ramBytes: 0,
      firmware: 'UNKNOWN',
      networkInterfaces: [],
      disks: [],
    },
    disks: [],
    // No certificate has an empty serial number, so nobody can call as this agent.
    agent: {
      version: '',
      certificateSerial: '',
      certificateNotAfter: at,
      generation: 0,
      desired: 'REPLICATE',
    },
    state: 'PENDING_INSTALLATION',
  })
  const awaited = fqdn === undefined ? server : { ...server, fqdnForActionFramework: fqdn }
  return withEvent(awaited, at, {
    type: 'LIFECYCLE_CHANGED',
    actor,
    message: `Imported as ${userProvidedId}, waiting for its agent: install it with --user-provided-id '${userProvidedId}'`,
    detail: { to: 'PENDING_INSTALLATION' },
  })
}

/** The names by which a host can be awaited. */
export function hostNames({ identificationHints: { fqdn, hostname } }: SourceProperties): string[] {
  return [fqdn, hostname].map(plainHost).filter((name) => !/^(localhost\b.*)?$/.test(name))
}

/** The servers among `servers` that are awaited under a name of this host. */
export function awaitedByName(
  servers: readonly SourceServer[],
  properties: SourceProperties,
): SourceServer[] {
  const names = new Set(hostNames(properties))
  return servers.filter(
    (server) =>
      isAwaited(server) &&
      server.fqdnForActionFramework !== undefined &&
      names.has(plainHost(server.fqdnForActionFramework)),
  )
}

/** A host's name as it is compared. */
export function plainHost(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

/**
 * An awaited server whose agent has come, with the work that raises its staging area. What the import said stays.
 * @throws ConflictError when it is not awaited any more.
 */
export function withAgentArrived(
  server: SourceServer,
  input: EnrolledMachine & { tags?: Record<string, string> | undefined },
): SourceServer {
  if (!isAwaited(server))
    throw new ConflictError(
      `Server ${server.sourceServerId} was changed while this machine enrolled; try again`,
    )
  const { at, sourceProperties, disks } = input
  const { hostname } = sourceProperties.identificationHints
  const isUnnamed = server.launchConfiguration.name === server.sourceProperties.identificationHints.hostname
  const more = Object.entries({ Name: hostname, ...input.tags }).filter(([key]) => !(key in server.tags))
  const arrived: SourceServer = {
    ...server,
    sourceProperties,
    disks,
    tags: Object.fromEntries([...Object.entries(server.tags), ...more].slice(0, maxTags)),
    agent: { ...server.agent, ...input.agent, generation: 0, desired: 'REPLICATE' },
    lifecycle: { ...server.lifecycle, lastSeenByServiceAt: at },
    launchConfiguration: isUnnamed
      ? { ...server.launchConfiguration, name: hostname }
      : server.launchConfiguration,
  }
  const told = withEvent(withLifecycle(arrived, 'INSTALL_AGENT', at, 'agent'), at, {
    type: 'AGENT',
    actor: 'agent',
    message: `Agent ${input.agent.version} enrolled on ${hostname}, which was awaited`,
    detail: { state: 'ENROLLED' },
  })
  return withStaging(told, at)
}
