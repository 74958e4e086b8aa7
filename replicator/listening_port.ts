/**
 * The port that is listened on: whether it can be had, and what to do when it can't.
 * @module
 */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Why `port` of `host` can't be listened on, with what to do and the variable that sets it. */
export function portError(cause: unknown, host: string, port: number): Error {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const advice: Record<string, string> = {
    EADDRINUSE: `another program has it; end that one ("ss -ltnp sport = :${port}" names it), or set REHOST_REPLICATION_PORT to a free port`,
    EACCES: 'this user may not use it; set REHOST_REPLICATION_PORT to 1024 or more',
    EADDRNOTAVAIL: 'this machine does not have that address; set REHOST_LISTEN_HOST to one that it has',
    ENOTFOUND: 'there is no host of that name; set REHOST_LISTEN_HOST to an address of this machine',
  }
  const why = typeof code === 'string' ? (advice[code] ?? code) : String(cause)
  return new Error(`Cannot listen on ${host} port ${port}: ${why}`, { cause })
}

/**
 * Fails early where the port can't be had: a token is used up by enrolment, so nothing else may go wrong after it.
 * @throws Error saying why, as {@link portError}.
 */
export async function requirePort(host: string, port: number): Promise<void> {
  const probe = createServer()
  try {
    probe.listen(port, host)
    await once(probe, 'listening')
  } catch (cause) {
    throw portError(cause, host, port)
  }
  probe.close()
  await once(probe, 'close')
}
