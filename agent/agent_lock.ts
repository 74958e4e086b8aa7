/**
 * One agent at a time has a state directory: two would take the kernel's events away from each other.
 * @module
 */
import { resolve } from 'node:path'
import type { HostLease } from '../host/lease.ts'
import { takeHostLease } from '../host/lease.ts'

/** Another agent has the state directory. It may be ending, so it is worth another try. */
export class AgentRunsError extends Error {
  override name = 'AgentRunsError'
}

/**
 * Takes the lock of a state directory.
 * @throws AgentRunsError when another agent has it.
 */
export async function lockAgent(stateDirectory: string): Promise<HostLease> {
  try {
    return await takeHostLease('agent', resolve(stateDirectory))
  } catch (cause) {
    throw new AgentRunsError(
      `Another agent runs with the state directory ${stateDirectory}; end it first (pgrep -af 'rehost-agent|agent/main' finds it), or name another directory with --state-dir`,
      { cause },
    )
  }
}
