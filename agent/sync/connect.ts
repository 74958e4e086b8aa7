/**
 * Opens the connections of a session: TLS, HELLO, WELCOME, one connection after the other.
 * @module
 */
import type { Hello } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { ConnectLink, LinkTarget } from './tls_link.ts'
import { Connection } from './connection.ts'
import { connectLink } from './tls_link.ts'

/** Connections that an agent may open. */
export const maxConnections = 5

/** Whom to connect to, and as whom. */
export interface ConnectInput {
  target: LinkTarget
  hello: Omit<Hello, 'connectionIndex'>
  connectionCount: number
  clock: Clock
  /** Default: over TLS. */
  connectLink?: ConnectLink
  /** Gives up connecting. */
  signal: AbortSignal
}

/**
 * All connections, or none.
 * @throws WireError as the replicator told it, LinkError when it cannot be reached.
 */
export async function openConnections(input: ConnectInput): Promise<Connection[]> {
  const { connectionCount } = input
  if (connectionCount < 1 || connectionCount > maxConnections)
    throw new RangeError(`Cannot open ${connectionCount} connections: 1 to ${maxConnections} are allowed`)
  const connections: Connection[] = []
  try {
    for (let index = 0; index < connectionCount; index++) connections.push(await openConnection(input, index))
    return connections
  } catch (error) {
    for (const connection of connections) connection.destroy(new Error('Another connection failed'))
    throw error
  }
}

async function openConnection(input: ConnectInput, connectionIndex: number): Promise<Connection> {
  const { target, hello, clock, signal } = input
  const socket = await (input.connectLink ?? connectLink)(target, signal)
  // A far end that never answers HELLO must not hold up the agent's end.
  const giveUp = () => void socket.destroy()
  signal.addEventListener('abort', giveUp, { once: true })
  if (signal.aborted) giveUp()
  try {
    return await Connection.open(socket, { ...hello, connectionIndex }, clock)
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
