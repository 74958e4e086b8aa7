/**
 * Leases: one process of this host at a time may write a volume or a state directory. A lease is an abstract Unix socket: the kernel
 * frees it the moment its holder dies, however it dies.
 * @module
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'

/** Held until it is released, or the process ends. */
export interface Lease {
  release(): Promise<void>
}

/** Takes the lease of `name`, which must be the same for every way to reach the thing. @throws Error when somebody else has it. */
export type TakeLease = (name: string) => Promise<Lease>

/** See the module. */
export const takeLease: TakeLease = async (name) => {
  // A leading zero byte makes the name an abstract one; the hash keeps it within the 107 bytes that a name may have.
  const address = `\0rehost-replicator-${createHash('sha256').update(name).digest('hex')}`
  const server = createServer((connection) => connection.destroy())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(address, resolve)
  try {
    await promise
  } catch (cause) {
    throw new Error(
      'another replication server on this host has it; end that one first ("pgrep -af replicator" finds it)',
      { cause },
    )
  }
  server.unref()
  return { release: () => new Promise((released) => server.close(() => released())) }
}
