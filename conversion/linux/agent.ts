/**
 * The replication agent does not travel: everything that installing it made is taken away.
 * @module
 */
import type { Change, Guest } from '../types.ts'

/** Everything the agent's installation makes. */
export const agentPaths = [
  '/etc/systemd/system/rehost-agent.service',
  '/etc/systemd/system/multi-user.target.wants/rehost-agent.service',
  '/opt/rehost',
  '/etc/rehost',
  '/var/lib/rehost',
] as const

/** The change, or undefined when no agent is there. */
export function planAgentRemoval(guest: Guest): Change | undefined {
  if (guest.agentPaths.length === 0) return undefined
  return {
    name: 'agent-removed',
    what: 'Removes the replication agent, its settings and its keys',
    because: 'The launched machine must not replicate itself, nor speak for the source',
    operations: guest.agentPaths.map((path) => ({ kind: 'remove', path })),
  }
}
