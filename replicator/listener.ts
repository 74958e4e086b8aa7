/**
 * The replication port: TLS 1.3 with client certificates, bounded connections and deadlines, and a reason for every refusal.
 * @module
 */
import type { AddressInfo, Socket } from 'node:net'
import type { SecureContextOptions, Server, TLSSocket } from 'node:tls'
import { createServer } from 'node:tls'
import { constants } from 'node:crypto'
import type { Logger } from 'pino'
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
}

/** What fits a replication server of 100 agents with 5 connections each. */
export const defaultLimits: ListenerLimits = {
  maxUnauthenticated: 128,
  maxConnections: 1024,
  handshakeDeadlineMs: 10_000,
  helloDeadlineMs: 10_000,
  idleMs: 90_000,
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
  readonly #pool = new PayloadPool()
  readonly #refusals: RefusalLog
  /** Every connection, oldest first: where it comes from, and whether its agent was admitted. */
  readonly #connections = new Map<Socket, { address: string; isKnown: boolean }>()
  #unauthenticated = 0

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#refusals = new RefusalLog(options.log)
    this.#limits = { ...defaultLimits, ...options.limits }
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
    this.#server.on('connection', (socket: Socket) => this.#count(socket))
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
    for (const socket of this.#connections.keys()) socket.destroy()
  }

  #count(socket: Socket): void {
    const { maxConnections, maxUnauthenticated } = this.#limits
    const address = socket.remoteAddress ?? ''
    const isFull = this.#connections.size >= maxConnections
    const isCrowded = this.#unauthenticated >= maxUnauthenticated
    if (isFull || (isCrowded && !this.#makeRoomFor(address))) {
      const reason = isFull
        ? `there are ${maxConnections} connections already`
        : `${maxUnauthenticated} connections have not been admitted yet`
      this.#refusals.add({ remoteAddress: address, code: 'LIMIT', reason })
      socket.destroy()
      return
    }
    this.#connections.set(socket, { address, isKnown: false })
    this.#unauthenticated++
    socket.once('close', () => this.#forget(socket))
  }

  /**
   * Ends the oldest connection of the address that has most that were not admitted, when that is more than `address` would have: who opens
   * many and says nothing keeps only his own kind out.
   */
  #makeRoomFor(address: string): boolean {
    const waiting = [...this.#connections].filter(([, { isKnown }]) => !isKnown)
    const counts = new Map<string, number>()
    for (const [, own] of waiting) counts.set(own.address, (counts.get(own.address) ?? 0) + 1)
    const most = Math.max(...counts.values())
    if (most <= (counts.get(address) ?? 0) + 1) return false
    const [oldest] = waiting.find(([, own]) => counts.get(own.address) === most) ?? []
    if (oldest === undefined) return false
    const reason = `${this.#limits.maxUnauthenticated} connections have not been admitted yet, ${most} of them from there`
    this.#refusals.add({ remoteAddress: oldest.remoteAddress, code: 'LIMIT', reason })
    this.#forget(oldest)
    oldest.destroy()
    return true
  }

  #forget(socket: Socket): void {
    if (this.#connections.get(socket)?.isKnown === false) this.#unauthenticated--
    this.#connections.delete(socket)
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
        onOpen: () => this.#authenticated(socket),
      })
      log.debug({ remoteAddress, serial: session.serial }, 'TLS connection accepted')
    } catch (error) {
      const refusal = asWireError(error)
      const expired = expiredPeer(socket, credentials.ca)
      if (expired !== undefined) onExpired(expired, refusal)
      this.#refuse(socket, refusal)
    }
  }

  /** The TCP connection below `socket` no longer counts as unknown. */
  #authenticated(socket: TLSSocket): void {
    for (const [raw, own] of this.#connections) {
      if (own.isKnown || raw.remotePort !== socket.remotePort || raw.remoteAddress !== socket.remoteAddress)
        continue
      own.isKnown = true
      this.#unauthenticated--
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
