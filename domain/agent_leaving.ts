/**
 * The time that an agent has to uninstall itself when its server is disconnected or finalized. Pure.
 * @module
 */
import type { SourceServer } from './source_server.ts'
import { lastHeardAt } from './agent_silence.ts'
import { hasNoAgentYet } from './source_server.ts'

/** MGN tells agents to uninstall within ten minutes; after that the staging area goes all the same. */
export const uninstallTimeoutMs = 600_000

/** An agent that was not seen for this long, and as long in vain waited for, does not come back to uninstall. */
export const lostAgentTimeoutMs = 60_000

/** Whether `server` goes and its agent is waited for, to say that it is uninstalled. */
function isLeaving({ agent, activeTask }: SourceServer): boolean {
  const isEnd = activeTask?.kind === 'DISCONNECT' || activeTask?.kind === 'FINALIZE'
  const isOver = agent.uninstalledAt !== undefined || agent.givenUpAt !== undefined
  return isEnd && agent.desired === 'UNINSTALL' && !isOver
}

/** Why the end of replication may take a while: the time that its agent has. Undefined where nothing is awaited of an agent. */
export function leavingInWords(server: SourceServer): string | undefined {
  if (!isLeaving(server) || hasNoAgentYet(server)) return undefined
  return (
    `waiting up to ${lostAgentTimeoutMs / 1000} s for its agent, last seen at ${lastHeardAt(server)}, to uninstall itself ` +
    `(${uninstallTimeoutMs / 60_000} min while it is heard)`
  )
}
