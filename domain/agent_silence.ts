/**
 * An agent that is not heard, in words. Most are off, or cut off, and come back by themselves. One that stays away for longer than its
 * certificate lives cannot: started again, it finds that out by itself and ends without a call, so that only the record can tell. Pure.
 * @module
 */
import type { DataReplicationError } from './replication.ts'
import type { SourceServer } from './source_server.ts'

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
  const seen = `The agent was last seen at ${server.agent.lastSeenAt ?? server.createdAt}`
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
