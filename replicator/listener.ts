/**
 * The replication port: TLS 1.3 with client certificates, bounded connections and deadlines, and a reason for every refusal.
 * @module
 */
import type { AddressInfo, Socket } from 'node:net'
import type { SecureContextOptions, Server, TLSSocket } from 'node:tls'
import { createServer } from 'node:tls'
import type { Logger } from 'pino'
import { tlsVersionOptions } from '../wire/tls.ts'
import { asWireError } from '../wire/wire_error.ts'
import type { WireError } from '../wire/wire_error.ts'
import { FrameEncoder } from '../wire/frame.ts'
import { writeFrame } from '../wire/frame_stream.ts'
import { requireAssigned } from './assignment.ts'
import { PayloadPool } from './payload_pool.ts'
import { identifyPeer } from './peer.ts'
import type { ServedServer } from './served_server.ts'
import { Session } from './session.ts'

/** Bounds of the port. */
export interface ListenerLimits {
  /** Connections that have not been admitted yet. */
  maxUnauthenticated: number
  /** All connections. */
  maxConnections: number
  handshakeDeadlineMs: number
  helloDeadlineMs: number
  /** A connection on which nothing moves this long is dead: agents report every second. */
  idleMs: number
}

/** What fits a replication server of 100 agents with 5 connections each. */
export const defaultLimits: ListenerLimits = {
  maxUnauthenticated: 128,
  maxConnections: 1024,
  handshakeDeadlineMs: 10_000,
  helloDeadlineMs: 10_000,
  idleMs: 90_000,
}

/** What the listener needs. */
export interface ListenerOptions {
  host: string
  port: number
  credentials: SecureContextOptions
  findServer: (sourceServerId: string) => ServedServer | undefined
  /** An agent came that is not assigned, or not with this certificate: the gateway may know more by now. */
  onUnassigned: () => void
  log: Logger
  limits?: Partial<ListenerLimits>
}

/** Listens; made by {@link startListener}. */
export class Listener {
  readonly #server: Server
  readonly #options: ListenerOptions
  readonly #limits: ListenerLimits
  readonly #pool = new PayloadPool()
  /** Every connection, and whether its agent was admitted. */
  readonly #connections = new Map<Socket, boolean>()
  #unauthenticated = 0

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#server = createServer({
      ...tlsVersionOptions,
      ...options.credentials,
      requestCert: true,
      // Refused one step later, where the reason can be told: see identifyPeer.
      rejectUnauthorized: false,
      handshakeTimeout: this.#limits.handshakeDeadlineMs,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    })
    this.#server.on('connection', (socket: Socket) => this.#count(socket))
    this.#server.on('tlsClientError', (error, socket) => {
      this.#logRefusal(socket.remoteAddress, 'TLS', error.message)
      socket.destroy()
    })
    this.#server.on('secureConnection', (socket) => this.#accept(socket))
  }

  /** The port, the chosen one if 0 was asked for. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** @throws Error when the address can't be listened on. */
  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen(this.#options.port, this.#options.host, resolve)
    await promise
    this.#server.off('error', reject)
    this.#server.on('error', (error) => this.#options.log.error({ err: error }, 'Replication port failed'))
  }

  /** Uses new key and certificate for connections to come. */
  setCredentials(credentials: SecureContextOptions): void {
    this.#server.setSecureContext({ ...tlsVersionOptions, ...credentials })
  }

  /** Accepts no more. Connections there are end by their own. */
  stopAccepting(): void {
    this.#server.close()
  }

  /** Ends what is still connected, at once. */
  destroyAll(): void {
    for (const socket of this.#connections.keys()) socket.destroy()
  }

  #count(socket: Socket): void {
    const { maxConnections, maxUnauthenticated } = this.#limits
    if (this.#connections.size >= maxConnections || this.#unauthenticated >= maxUnauthenticated) {
      const reason =
        this.#connections.size >= maxConnections ? 'too many connections' : 'too many before HELLO'
      this.#logRefusal(socket.remoteAddress, 'LIMIT', reason)
      socket.destroy()
      return
    }
    this.#connections.set(socket, false)
    this.#unauthenticated++
    socket.once('close', () => {
      if (this.#connections.get(socket) === false) this.#unauthenticated--
      this.#connections.delete(socket)
    })
  }

  #accept(socket: TLSSocket): void {
    const { remoteAddress } = socket
    socket.setTimeout(this.#limits.idleMs, () => socket.destroy(new Error('Nothing moved on the connection')))
    try {
      const peer = identifyPeer(socket)
      try {
        requireAssigned(peer, this.#options.findServer(peer.sourceServerId)?.assignment)
      } catch (error) {
        this.#options.onUnassigned()
        throw error
      }
      const session = new Session({
        socket,
        peer,
        findServer: this.#options.findServer,
        pool: this.#pool,
        log: this.#options.log.child({ sourceServerId: peer.sourceServerId, remoteAddress }),
        helloDeadlineMs: this.#limits.helloDeadlineMs,
        onOpen: () => this.#authenticated(socket),
      })
      this.#options.log.debug({ remoteAddress, serial: session.serial }, 'TLS connection accepted')
    } catch (error) {
      this.#refuse(socket, asWireError(error))
    }
  }

  /** The TCP connection below `socket` no longer counts as unknown. */
  #authenticated(socket: TLSSocket): void {
    for (const [raw, isKnown] of this.#connections) {
      if (isKnown || raw.remotePort !== socket.remotePort || raw.remoteAddress !== socket.remoteAddress)
        continue
      this.#connections.set(raw, true)
      this.#unauthenticated--
    }
  }

  #refuse(socket: TLSSocket, error: WireError): void {
    this.#logRefusal(socket.remoteAddress, error.code, error.message, error)
    socket.on('error', (cause) => this.#options.log.debug({ err: cause }, 'Refused connection lost'))
    writeFrame(socket, new FrameEncoder().encode({ type: 'ERROR', body: error.toBody() }))
    socket.end()
    socket.resume()
    socket.setTimeout(this.#limits.helloDeadlineMs, () => socket.destroy())
  }

  #logRefusal(remoteAddress: string | undefined, code: string, reason: string, error?: WireError): void {
    const { expected, actual } = error ?? {}
    this.#options.log.warn(
      { event: 'connection-refused', remoteAddress, code, expected, actual },
      `Connection refused: ${reason}`,
    )
  }
}

/** Opens the port. @throws Error when it can't be listened on. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const listener = new Listener(options)
  await listener.listen()
  return listener
}
