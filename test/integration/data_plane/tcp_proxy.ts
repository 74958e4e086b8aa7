/**
 * A TCP proxy between agent and replicator that does what networks do: resets, ends, swallows, delays and trickles.
 * @module
 */
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomInt } from '../../fixtures/seed.ts'

/** What happens to one connection once so many bytes have passed in one direction. */
export interface ProxyFault {
  kind: 'RESET' | 'END' | 'SWALLOW'
  direction: 'UP' | 'DOWN'
  afterBytes: number
}

/** How one connection is treated. */
export interface ProxyManners {
  fault?: ProxyFault
  /** Each piece waits up to so long. */
  delayMs: number
  /** So many bytes of each direction go one by one. */
  trickledBytes: number
}

/** A connection on which nothing goes wrong. */
export const goodManners: ProxyManners = { delayMs: 0, trickledBytes: 0 }

/** Forwards connections to one port of loopback. */
export class TcpProxy {
  /** For connections to come. */
  manners: () => ProxyManners = () => goodManners
  connections = 0
  readonly #server: Server
  readonly #random: () => number
  readonly #targetPort: number
  readonly #sockets = new Set<Socket>()

  private constructor(targetPort: number, random: () => number) {
    this.#targetPort = targetPort
    this.#random = random
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
  }

  static async start(targetPort: number, random: () => number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort, random)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Resets every connection that is open now. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async end(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    this.connections += 1
    const manners = this.manners()
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true })
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.setNoDelay(true)
      this.#sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        if (manners.fault?.kind !== 'SWALLOW') other.destroy()
      })
    }
    void this.#carry(client, server, 'UP', manners)
    void this.#carry(server, client, 'DOWN', manners)
  }

  async #carry(from: Socket, to: Socket, direction: 'UP' | 'DOWN', manners: ProxyManners): Promise<void> {
    const { delayMs, trickledBytes } = manners
    const fault = manners.fault?.direction === direction ? manners.fault : undefined
    let carried = 0
    let isSilent = false
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (isSilent) continue
        for (let at = 0; at < chunk.length;) {
          if (delayMs > 0) await sleep(randomInt(this.#random, 0, delayMs))
          const most = carried < trickledBytes ? 1 : chunk.length - at
          const piece = chunk.subarray(at, at + Math.min(most, (fault?.afterBytes ?? Infinity) - carried))
          at += Math.max(1, piece.length)
          carried += piece.length
          if (piece.length > 0 && !to.write(piece)) await drained(to)
          if (fault === undefined || carried < fault.afterBytes) continue
          if (fault.kind === 'SWALLOW') {
            isSilent = true
            break
          }
          if (fault.kind === 'END') to.end()
          else to.resetAndDestroy()
          from.destroy()
          return
        }
      }
      if (!isSilent) to.end()
    } catch {
      // The connection broke, which its owner at either end learns by itself.
      to.destroy()
    }
  }
}

async function drained(socket: Socket): Promise<void> {
  if (socket.destroyed) return
  await new Promise<void>((resolve) => {
    socket.once('drain', resolve)
    socket.once('close', () => resolve())
  })
}
