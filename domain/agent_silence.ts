/**
 * An agent that is not heard, in words. Most are off, or cut off, and come back by themselves. One that stays away for longer than its
 * certificate lives cannot: started again, it finds that out by itself and ends without a call, so that only the record can tell. Pure.
 * @module
 */
import type { DataReplicationError } from './replication.ts'
import type { SourceServer } from './source_server.ts'
import { withReplicationError } from './replication_error.ts'
import { hasNoAgentYet, withEvent } from './source_server.ts'

/** When the certificate of the server's agent expired; undefined while one is valid, and for an agent that is gone. */
export function certificateExpiredAt({ agent }: SourceServer, at: string): string | undefined {
  const hasExpired = Date.parse(agent.certificateNotAfter) <= Date.parse(at)
  return hasExpired && agent.uninstalledAt === undefined ? agent.certificateNotAfter : undefined
}

/** What brings back an agent whose certificate has expired, in a sentence; `enrolAgain` of `agent_contact.ts` does it. */
export function installAgain({ sourceProperties }: SourceServer): string {
  const { hostname, machineId } = sourceProperties.identificationHints
  const install = `Install the agent on ${hostname} again with a new command from Add server`
  return machineId === undefined
    ? `${install}: it becomes a new server and is copied anew, as its machine id is not known`
    : `${install}: with its machine id and a network address (MAC) as before it is known as this server, which keeps its replica`
}

/** The error of a server whose agent is not heard, as it is at `at`. */
export function agentNotSeen(server: SourceServer, at: string): DataReplicationError {
  const seen = `The agent was last seen at ${lastHeardAt(server)}`
  const expiredAt = certificateExpiredAt(server, at)
  if (expiredAt !== undefined) {
    return {
      error: 'AGENT_NOT_SEEN',
      rawError: `${seen}, and its certificate expired at ${expiredAt}: it cannot come back by itself`,
      whatToDo: installAgain(server),
    }
  }
  const { hostname } = server.sourceProperties.identificationHints
  return {
    error: 'AGENT_NOT_SEEN',
    rawError: seen,
    whatToDo: `See whether ${hostname} is up and reaches this service on the agent port; there: systemctl status rehost-agent`,
  }
}

/** When the agent was last heard; its server is as old as it. */
export function lastHeardAt({ agent, createdAt }: SourceServer): string {
  return agent.lastSeenAt ?? createdAt
}

/** `server` told that its agent is silent; the same object when that was told, and when there is no agent that should be heard. */
export function withAgentSilent(server: SourceServer, at: string): SourceServer {
  const { agent, lifecycle } = server
  const isGone = agent.uninstalledAt !== undefined || ['CUTOVER', 'DISCONNECTED'].includes(lifecycle.state)
  if (agent.silentSince !== undefined || isGone || hasNoAgentYet(server)) return server
  return withEvent(withSilenceNoted(server), at, {
    type: 'AGENT',
    level: 'WARNING',
    message: agentNotSeen(server, at).rawError,
    detail: { state: 'NOT_SEEN' },
  })
}

/** `server` whose error is that its agent is not heard, which tells the silence too. */
export function withAgentNotSeen(server: SourceServer, at: string): SourceServer {
  const error = agentNotSeen(server, at)
  return withReplicationError(withSilenceNoted(server), error, at, {
    type: 'AGENT',
    level: 'WARNING',
    message: `${error.error}: ${error.rawError}`,
    detail: { state: 'NOT_SEEN' },
  })
}

function withSilenceNoted(server: SourceServer): SourceServer {
  return { ...server, agent: { ...server.agent, silentSince: lastHeardAt(server) } }
}

/** `server` whose agent is heard again after its silence was told; the same object when it was not. */
export function withAgentHeard(server: SourceServer, at: string): SourceServer {
  const { silentSince, ...agent } = server.agent
  if (silentSince === undefined) return server
  return withEvent({ ...server, agent }, at, {
    type: 'AGENT',
    actor: 'agent',
    message: `The agent is heard again; it was silent since ${silentSince}`,
    detail: { state: 'SEEN' },
  })
}
