/**
 * Leases of this host: of the processes that ask for a name, one at a time has it. A lease is an abstract Unix socket: the kernel frees it
 * the moment its holder dies, however it dies, and anybody can see whether it is held.
 * @module
 */
import { createHash } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'

/** Held until it is released, or the process ends. */
export interface HostLease {
  release(): Promise<void>
}

/** Who leases: names of one kind are not those of another. */
export type LeaseKind = 'agent' | 'replicator' | 'worker'

/** A leading zero byte makes the name an abstract one; the hash keeps it within the 107 bytes that a name may have. */
function addressOf(kind: LeaseKind, name: string): string {
  return `\0rehost-${kind}-${createHash('sha256').update(name).digest('hex')}`
}

/** Takes `name`, which must be the same for every way to reach the thing. @throws Error with code EADDRINUSE when somebody else has it. */
export async function takeHostLease(kind: LeaseKind, name: string): Promise<HostLease> {
  const server = createServer((connection) => connection.destroy())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(addressOf(kind, name), resolve)
  await promise
  server.unref()
  return { release: () => new Promise((released) => server.close(() => released())) }
}

/**
 * Whether a living process has `name`, one that is stopped or too busy to answer included: it is the kernel that is asked. Whatever keeps it
 * from answering, such as rules between containers, counts as yes: only that nobody listens proves a death.
 */
export function isLeased(kind: LeaseKind, name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(addressOf(kind, name))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
}

/**
 * Names everything that shares leases with this process: this start of this kernel, and its network namespace, which abstract sockets
 * belong to (unix(7)). Processes with another id can't be told about.
 */
export async function leaseHostId(): Promise<string> {
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  const network = await readlink('/proc/self/ns/net')
  return createHash('sha256').update(`${boot} ${network}`).digest('hex').slice(0, 16)
}
