/**
 * What an agent's calls do to its server, apart from the heartbeat: enrolling, enrolling again, starting, leaving. Pure.
 *
 * Enrolling again. A machine is known by its machine id together with a network address (MAC) that it still has: clones share the
 * former and not the latter, so a clone becomes a server of its own. A known machine that is disconnected begins again in the same
 * record. One that still replicates gets a new certificate and keeps its replica, unless its agent was heard a moment ago: then the
 * caller is refused, because a token must not be enough to take over a running server.
 * @module
 */
import type {
  AgentRecord,
  LaunchedInstance,
  ReplicatedDisk,
  SourceProperties,
  SourceServer,
} from './source_server.ts'
import { hasStagingArea, withStaging } from './actions.ts'
import { withAgentHeard } from './agent_silence.ts'
import { withDisksNoticed } from './disk_changes.ts'
import { ConflictError } from './errors.ts'
import { inventoryProblem, renameDisks } from './inventory.ts'
import { agentIsLiveMs, heardLive, macAddresses, withBoot } from './machine_copy.ts'
import { newInitiationSteps } from './initiation.ts'
import { withReplacedDisks } from './replaced_disk.ts'
import { advanceDataReplication } from './replication.ts'
import { withReplicationError, withoutReplicationError } from './replication_error.ts'
import { keptInitialReplication } from './initial_replication.ts'
import { withEvent, withLifecycle, withReplication } from './source_server.ts'

/** Whether both inventories were taken on one machine. */
export function isSameMachine(one: SourceProperties, other: SourceProperties): boolean {
  const { machineId } = one.identificationHints
  if (machineId === undefined || machineId !== other.identificationHints.machineId) return false
  const known = macAddresses(other)
  const own = macAddresses(one)
  return (known.size === 0 && own.size === 0) || [...own].some((address) => known.has(address))
}

/** The server that this machine already is, if its migration is not over. */
export function findSameMachine(
  servers: readonly SourceServer[],
  properties: SourceProperties,
): SourceServer | undefined {
  return servers.find(
    (server) =>
      !server.isArchived &&
      server.lifecycle.state !== 'CUTOVER' &&
      isSameMachine(properties, server.sourceProperties),
  )
}

/** A machine whose agent has just enrolled. */
export interface EnrolledMachine {
  at: string
  sourceProperties: SourceProperties
  disks: ReplicatedDisk[]
  agent: Pick<AgentRecord, 'version' | 'certificateSerial' | 'certificateNotAfter'>
}

/**
 * A known server whose agent enrols again.
 * @throws ConflictError while its agent is live, or while work goes on for a disconnected one.
 */
export function enrolAgain(server: SourceServer, input: EnrolledMachine): SourceServer {
  const { at } = input
  const heard = heardLive(server, at)
  if (heard !== undefined) {
    throw new ConflictError(
      `This machine is server ${server.sourceServerId} already, and its agent was heard at ${heard}. Stop that agent and try again ` +
        `in ${agentIsLiveMs / 1000} s; if this is a clone, give it a machine id and network addresses of its own`,
    )
  }
  // That it was silent stays until it starts: whoever was told of that is told then that it is over.
  const {
    uninstalledAt: _left,
    givenUpAt: _awaited,
    previousCertificateSerial: _old,
    ...known
  } = server.agent
  const agent: AgentRecord = { ...known, ...input.agent }
  const message = `Agent ${agent.version} enrolled again on ${input.sourceProperties.identificationHints.hostname}`
  if (server.lifecycle.state !== 'DISCONNECTED') {
    const kept = { ...withInventory(server, input.sourceProperties), agent }
    const told = withEvent(kept, at, {
      type: 'AGENT',
      actor: 'agent',
      message,
      detail: { state: 'ENROLLED' },
    })
    return withInventoryChecked(withDisksNoticed(told, at), at)
  }
  if (server.activeTask !== undefined) {
    throw new ConflictError(
      `Server ${server.sourceServerId} is still being disconnected; enrol again when that is done`,
    )
  }
  const {
    error: _error,
    replicationServerId: _server,
    lastConsistentAt: _consistent,
    ...replication
  } = server.replication
  const {
    consistencyRequest: _request,
    launchedInstance: kept,
    offeredDisks: _offers,
    initialReplication: _first,
    copyForecast: _said,
    ...rest
  } = server
  const { firstByteAt: _byte, readyForTestAt: _ready, ...lifecycle } = server.lifecycle
  const fresh: SourceServer = {
    ...rest,
    ...keptInitialReplication(server),
    agent: { ...agent, desired: 'REPLICATE' },
    sourceProperties: input.sourceProperties,
    disks: input.disks,
    lifecycle,
    replication: { ...replication, initiation: { steps: newInitiationSteps() } },
  }
  const told = withEvent(withLifecycle(fresh, 'INSTALL_AGENT', at, 'agent'), at, {
    type: 'AGENT',
    actor: 'agent',
    message,
    detail: { state: 'ENROLLED' },
  })
  return withStaging(kept === undefined ? told : withMachineLeft(told, kept, at), at)
}

/** Says what becomes of the machine of the migration that was ended: people may work on it, so the new one does not take its place. */
function withMachineLeft(server: SourceServer, { machineId }: LaunchedInstance, at: string): SourceServer {
  return withEvent(server, at, {
    type: 'LAUNCH',
    message: `Machine ${machineId} was launched before this server was disconnected: it stays as it is, and Rehost no longer manages it`,
    detail: { machineId },
  })
}

/** `server` at the start of a new run of its agent, which is no copy's: the next generation, and its disks looked at again. */
export function startAgent(
  server: SourceServer,
  start: { version: string; bootId: string; sourceProperties: SourceProperties },
  at: string,
): SourceServer {
  const generation = server.agent.generation + 1
  const heard = withAgentHeard(server, at)
  const started: SourceServer = {
    ...withInventory(heard, start.sourceProperties),
    agent: {
      ...heard.agent,
      ...withBoot(server.agent, start.bootId),
      version: start.version,
      generation,
      lastSeenAt: at,
    },
    lifecycle: { ...server.lifecycle, lastSeenByServiceAt: at },
  }
  const told = withEvent(started, at, {
    type: 'AGENT',
    actor: 'agent',
    message: `Agent ${start.version} started (generation ${generation})`,
    detail: { state: 'STARTED', generation, bootId: start.bootId },
  })
  return withInventoryChecked(withDisksNoticed(told, at), at)
}

/** `server` with a new inventory of its machine. */
function withInventory(server: SourceServer, sourceProperties: SourceProperties): SourceServer {
  const { server: looked, inventory } = withReplacedDisks(server, sourceProperties.disks)
  return {
    ...looked,
    sourceProperties: { ...sourceProperties, disks: inventory },
    disks: renameDisks(looked.disks, inventory),
  }
}

/** Says so when the disks no longer fit their replica, and takes it back when they fit again. */
function withInventoryChecked(server: SourceServer, at: string): SourceServer {
  const problem = inventoryProblem(server)
  const known = server.replication.error
  if (problem === undefined) {
    if (known?.error !== 'UNSUPPORTED_VM_CONFIGURATION') return server
    return withoutReplicationError(server, 'The disks fit their replica again', at, 'agent')
  }
  const isStallable = advanceDataReplication(server.replication.state, 'STALL').ok
  const stalled = isStallable ? withReplication(server, 'STALL', at, 'agent') : server
  return withReplicationError(stalled, problem, at, { actor: 'agent' })
}

/** `server` after its agent's last word. An agent that was not told to go leaves its replica standing still, and that is said. */
export function withAgentGone(server: SourceServer, at: string): SourceServer {
  if (server.agent.uninstalledAt !== undefined) return server
  const gone = withEvent({ ...server, agent: { ...server.agent, uninstalledAt: at } }, at, {
    type: 'AGENT',
    actor: 'agent',
    message: 'Agent uninstalled from the source server',
    detail: { state: 'UNINSTALLED' },
  })
  if (server.agent.desired === 'UNINSTALL' || !advanceDataReplication(gone.replication.state, 'STALL').ok)
    return gone
  const error = {
    error: 'AGENT_NOT_SEEN',
    rawError: 'The agent was uninstalled on the source server itself',
    whatToDo: 'Install it again with a new command from Add server, or disconnect this server',
  } as const
  const stalled = withReplication(gone, 'STALL', at, 'agent')
  return withReplicationError(stalled, error, at, { actor: 'agent' })
}

/** Whether the agent may copy now: the staging area stands and the disks fit it. */
export function mayReplicate(server: SourceServer): boolean {
  return hasStagingArea(server) && inventoryProblem(server) === undefined
}
