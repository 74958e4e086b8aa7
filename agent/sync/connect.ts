/**
 * Opens the connections of a session: TLS, HELLO, WELCOME, one connection after the other.
 * @module
 */
import type { Hello } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { ConnectLink, LinkTarget } from './tls_link.ts'
import type { ConnectionPlan } from './connection_plan.ts'
import { Connection } from './connection.ts'
import { maxConnections } from './connection_plan.ts'
import { connectLink } from './tls_link.ts'

/** Whom to connect to, and as whom. */
export interface ConnectInput {
  /** Asked for each connection: certificates are renewed. */
  target(): LinkTarget
  hello: Omit<Hello, 'connectionIndex'>
  plan: ConnectionPlan
  clock: Clock
  /** Default: over TLS. */
  connectLink?: ConnectLink
  /** Gives up connecting. */
  signal: AbortSignal
}

/**
 * The first connections of a session, all or none.
 * @throws WireError as the replicator told it, LinkError when it cannot be reached.
 */
export async function openConnections(input: ConnectInput): Promise<Connection[]> {
  const { first } = input.plan
  if (first < 1 || first > maxConnections)
    throw new RangeError(`Cannot open ${first} connections: 1 to ${maxConnections} are allowed`)
  const connections: Connection[] = []
  try {
    for (let index = 0; index < first; index++) connections.push(await openConnection(input, index))
    return connections
  } catch (error) {
    for (const connection of connections) connection.destroy(new Error('Another connection failed'))
    throw error
  }
}

/**
 * Connection `connectionIndex` of the session.
 * @throws WireError as the replicator told it, LinkError when it cannot be reached.
 */
export async function openConnection(input: ConnectInput, connectionIndex: number): Promise<Connection> {
  const { hello, clock, signal } = input
  const socket = await (input.connectLink ?? connectLink)(input.target(), signal)
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
