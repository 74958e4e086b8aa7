/**
 * Clients that connect and say nothing, or say it one byte at a time.
 * @module
 */
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** The begin of a TLS record that claims to be long: sent a byte at a time it is never wrong and never whole. */
const slowHello = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(500)])

/** How they behave. */
export interface SlowClientsOptions {
  host: string
  port: number
  count: number
  /** Where they come from. */
  localAddress: string
  /** Every other one says a byte so often. */
  sayEveryMs: number
  /** One of so many shakes hands, without a certificate, and says nothing then; left out: none does. */
  handshakeOf?: number
}

/** A connection that ended is opened anew after so long. */
const againAfterMs = 2000

/** Holds connections open to a port and opens new ones soon after they end. */
export class SlowClients {
  readonly #options: SlowClientsOptions
  readonly #sockets = new Set<Socket>()
  #isOver = false
  readonly #timer: NodeJS.Timeout
  /** Connections tried so far. */
  opened = 0

  constructor(options: SlowClientsOptions) {
    this.#options = options
    for (let index = 0; index < options.count; index++) this.#open(index)
    this.#timer = setInterval(() => {
      for (const [index, socket] of [...this.#sockets].entries())
        if (index % 2 === 0) socket.write(slowHello.subarray(socket.bytesWritten).subarray(0, 1))
    }, options.sayEveryMs)
  }

  /** Ends them all. */
  end(): void {
    this.#isOver = true
    clearInterval(this.#timer)
    for (const socket of this.#sockets) socket.destroy()
  }

  #open(index: number): void {
    const { host, port, localAddress, handshakeOf } = this.#options
    const raw = connect({ host, port, localAddress })
    const socket =
      handshakeOf !== undefined && index % handshakeOf === 0
        ? connectTls({ socket: raw, rejectUnauthorized: false, ALPNProtocols: ['rehost/1'] })
        : raw
    raw.on('error', () => undefined)
    this.opened += 1
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#sockets.delete(socket)
      if (!this.#isOver) setTimeout(() => !this.#isOver && this.#open(index), againAfterMs)
    })
  }
}
