/**
 * The replication port: TLS 1.3 with client certificates, bounded connections and deadlines, and a reason for every refusal.
 * @module
 */
import type { AddressInfo, Socket } from 'node:net'
import type { SecureContextOptions, Server, TLSSocket } from 'node:tls'
import { createServer } from 'node:tls'
import { constants } from 'node:crypto'
import type { Logger } from 'pino'
import { ConnectionPlaces } from '../wire/connection_places.ts'
import { tlsVersionOptions } from '../wire/tls.ts'
import { asWireError } from '../wire/wire_error.ts'
import type { WireError } from '../wire/wire_error.ts'
import { FrameEncoder } from '../wire/frame.ts'
import { bidFarewell } from './farewell.ts'
import { portError } from './listening_port.ts'
import { PayloadPool } from './payload_pool.ts'
import { expiredPeer, identifyPeer } from './peer.ts'
import type { Peer } from './peer.ts'
import { RefusalLog } from './refusal_log.ts'
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
  /** Work of all connections together, see {@link PayloadPool}. */
  maxUnderWayBytes: number
}

/** What fits a replication server of 100 agents with 5 connections each. */
export const defaultLimits: ListenerLimits = {
  maxUnauthenticated: 128,
  maxConnections: 1024,
  handshakeDeadlineMs: 10_000,
  helloDeadlineMs: 10_000,
  idleMs: 90_000,
  maxUnderWayBytes: 128 * 1024 * 1024,
}

/** Key and certificate of the replication server, and the CA of all, as PEM. */
export interface ListenerCredentials {
  cert: string
  key: string
  ca: string
}

/** Every connection proves anew who it is: a resumed session would vouch for a certificate that has expired since. */
function contextOf(credentials: ListenerCredentials): SecureContextOptions {
  return { ...tlsVersionOptions, ...credentials, secureOptions: constants.SSL_OP_NO_TICKET }
}

/** What the listener needs. */
export interface ListenerOptions {
  host: string
  port: number
  credentials: ListenerCredentials
  /** The server that a peer may speak for. @throws WireError with the reason for a refusal. */
  serverOf: (peer: Peer) => ServedServer
  /** An agent came that can't be served: the gateway may know more by now. */
  onUnassigned: () => void
  /** An agent came whose certificate is genuine and has expired: `refusal` is what it was told. */
  onExpired: (peer: Peer, refusal: WireError) => void
  log: Logger
  limits?: Partial<ListenerLimits>
}

/** Listens; made by {@link startListener}. */
export class Listener {
  readonly #server: Server
  readonly #options: ListenerOptions
  readonly #limits: ListenerLimits
  readonly #pool: PayloadPool
  readonly #refusals: RefusalLog
  readonly #places: ConnectionPlaces

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#refusals = new RefusalLog(options.log)
    this.#limits = { ...defaultLimits, ...options.limits }
    const { maxConnections, maxUnauthenticated, maxUnderWayBytes } = this.#limits
    this.#pool = new PayloadPool(maxUnderWayBytes)
    this.#places = new ConnectionPlaces(
      { maxConnections, maxUnknown: maxUnauthenticated },
      (remoteAddress, reason) => this.#refusals.add({ remoteAddress, code: 'LIMIT', reason }),
    )
    this.#server = createServer({
      ...contextOf(options.credentials),
      requestCert: true,
      // Refused one step later, where the reason can be told: see identifyPeer.
      rejectUnauthorized: false,
      handshakeTimeout: this.#limits.handshakeDeadlineMs,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    })
    this.#server.on('connection', (socket: Socket) => this.#places.admit(socket))
    this.#server.on('tlsClientError', (error, socket) => {
      this.#refusals.add({ remoteAddress: socket.remoteAddress, code: 'TLS', reason: error.message })
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
    const { host, port } = this.#options
    this.#server.once('error', reject)
    this.#server.listen(port, host, resolve)
    try {
      await promise
    } catch (cause) {
      throw portError(cause, host, port)
    }
    this.#server.off('error', reject)
    this.#server.on('error', (error) => this.#options.log.error({ err: error }, 'Replication port failed'))
  }

  /** Uses new key and certificate for connections to come. */
  setCredentials(credentials: ListenerCredentials): void {
    this.#server.setSecureContext(contextOf(credentials))
  }

  /** Accepts no more. Connections there are end by their own. */
  stopAccepting(): void {
    this.#server.close()
  }

  /** Ends what is still connected, at once. */
  destroyAll(): void {
    this.#places.destroyAll()
  }

  #accept(socket: TLSSocket): void {
    const { remoteAddress } = socket
    const { credentials, log, onExpired, onUnassigned, serverOf } = this.#options
    socket.setTimeout(this.#limits.idleMs, () => socket.destroy(new Error('Nothing moved on the connection')))
    try {
      const peer = identifyPeer(socket)
      try {
        serverOf(peer)
      } catch (error) {
        onUnassigned()
        throw error
      }
      const session = new Session({
        socket,
        peer,
        serverOf,
        pool: this.#pool,
        log: log.child({ sourceServerId: peer.sourceServerId, remoteAddress }),
        helloDeadlineMs: this.#limits.helloDeadlineMs,
        onOpen: () => this.#places.know(socket),
      })
      log.debug({ remoteAddress, serial: session.serial }, 'TLS connection accepted')
    } catch (error) {
      const refusal = asWireError(error)
      const expired = expiredPeer(socket, credentials.ca)
      if (expired !== undefined) onExpired(expired, refusal)
      this.#refuse(socket, refusal)
    }
  }

  #refuse(socket: TLSSocket, error: WireError): void {
    const { code, expected, actual } = error
    this.#refusals.add({
      remoteAddress: socket.remoteAddress,
      code,
      reason: error.message,
      expected,
      actual,
    })
    socket.on('error', (cause) => this.#options.log.debug({ err: cause }, 'Refused connection lost'))
    socket.write(new FrameEncoder().encode({ type: 'ERROR', body: error.toBody() }).head)
    bidFarewell(socket)
  }
}

/** Opens the port. @throws Error when it can't be listened on. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const listener = new Listener(options)
  await listener.listen()
  return listener
}
