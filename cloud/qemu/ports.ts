/**
 * TCP ports of this host: which are free, asked by listening, as nothing else is certain.
 * @module
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { isSystemError } from './files.ts'

/**
 * Listens on `port` for a moment and returns the port; 0 takes any free one. It may be taken again before it is used: the user of
 * the port must still cope.
 * @throws Error with `code` EADDRINUSE, EACCES or EADDRNOTAVAIL, as the system gives it.
 */
export async function probePort(host: string, port: number): Promise<number> {
  const server = createServer((connection) => connection.destroy())
  server.listen({ host, port, exclusive: true })
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error(`Cannot read the port of ${host}`)
  return address.port
}

/** A free port of `host` for each that is wanted: that one where it is free, any other otherwise and for 0. All are different. */
export async function freePorts(host: string, wanted: readonly number[]): Promise<number[]> {
  const ports: number[] = []
  for (const port of wanted) {
    let free = await wantedOrFree(host, port)
    while (ports.includes(free) || (free !== port && wanted.includes(free))) free = await probePort(host, 0)
    ports.push(free)
  }
  return ports
}

async function wantedOrFree(host: string, port: number): Promise<number> {
  try {
    return await probePort(host, port)
  } catch (error) {
    if (!isSystemError(error, 'EADDRINUSE')) throw error
    return await probePort(host, 0)
  }
}
