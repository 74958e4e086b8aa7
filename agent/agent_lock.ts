/**
 * One agent at a time has a state directory: two would take the kernel's events away from each other.
 * @module
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import { resolve as resolvePath } from 'node:path'

/** Held until it is released, or the process ends. */
export interface AgentLock {
  release(): Promise<void>
}

/**
 * Takes the lock of a state directory: an abstract Unix socket, which the kernel frees the moment its holder dies.
 * @throws Error when another agent has it.
 */
export async function lockAgent(stateDirectory: string): Promise<AgentLock> {
  // A leading zero byte makes the name an abstract one; the hash keeps it within the 107 bytes that a name may have.
  const address = `\0rehost-agent-${createHash('sha256').update(resolvePath(stateDirectory)).digest('hex')}`
  const server = createServer((connection) => connection.destroy())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(address, resolve)
  try {
    await promise
  } catch (cause) {
    throw new Error(
      `Another agent runs with the state directory ${stateDirectory}; end it first (pgrep -af rehost-agent finds it)`,
      { cause },
    )
  }
  server.unref()
  return { release: () => new Promise((released) => server.close(() => released())) }
}
