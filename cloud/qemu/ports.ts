/**
 * TCP ports of this host: which are free, asked by listening, as nothing else is certain.
 * @module
 */
import { once } from 'node:events'
import { createServer } from 'node:net'

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

/** `count` different free ports of `host`. */
export async function freePorts(host: string, count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await probePort(host, 0))
  return [...ports]
}
