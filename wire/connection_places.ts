/**
 * Places for connections at a port that anybody can reach: a bound on all of them, and a smaller one on those of whom nobody knows yet who they are.
 * Whoever opens many and says nothing keeps only his own kind out.
 * @module
 */
import type { Socket } from 'node:net'

/** How many there may be. */
export interface PlaceLimits {
  /** Connections that nobody has proven to be somebody's. */
  maxUnknown: number
  /** All connections. */
  maxConnections: number
}

/** Hears of each connection that got no place or lost it, and why. */
export type OnRefused = (address: string, reason: string) => void

interface Place {
  socket: Socket
  address: string
}

/** Who is connected to one port. */
export class ConnectionPlaces {
  readonly #limits: PlaceLimits
  readonly #onRefused: OnRefused
  readonly #known = new Map<string, Place>()
  /** Oldest first. */
  readonly #unknown = new Map<string, Place>()

  constructor(limits: PlaceLimits, onRefused: OnRefused) {
    this.#limits = limits
    this.#onRefused = onRefused
  }

  /** Gives a connection a place until it closes; one for which there is none is ended. */
  admit(socket: Socket): void {
    const { remoteAddress: address = '', remotePort = 0 } = socket
    const reason = this.#reasonToRefuse(address)
    if (reason !== undefined) {
      this.#onRefused(address, reason)
      socket.destroy()
      return
    }
    const key = keyOf(address, remotePort)
    this.#unknown.set(key, { socket, address })
    socket.once('close', () => {
      // Another one may have come from there meanwhile.
      for (const places of [this.#unknown, this.#known])
        if (places.get(key)?.socket === socket) places.delete(key)
    })
  }

  /** The connection below this one is somebody's now. */
  know({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const key = keyOf(remoteAddress, remotePort)
    const place = this.#unknown.get(key)
    if (place === undefined) return
    this.#unknown.delete(key)
    this.#known.set(key, place)
  }

  /** Ends every connection. */
  destroyAll(): void {
    for (const places of [this.#unknown, this.#known])
      for (const { socket } of places.values()) socket.destroy()
  }

  #reasonToRefuse(address: string): string | undefined {
    const { maxConnections, maxUnknown } = this.#limits
    if (this.#known.size + this.#unknown.size >= maxConnections)
      return `there are ${maxConnections} connections already`
    if (this.#unknown.size < maxUnknown || this.#makeRoomFor(address)) return undefined
    return `${maxUnknown} connections have not been admitted yet`
  }

  /** Ends the oldest connection of the address that has most of those that are not known, when that is more than `address` would have. */
  #makeRoomFor(address: string): boolean {
    const counts = new Map<string, number>()
    for (const place of this.#unknown.values())
      counts.set(place.address, (counts.get(place.address) ?? 0) + 1)
    const most = Math.max(...counts.values())
    if (most <= (counts.get(address) ?? 0) + 1) return false
    for (const [key, place] of this.#unknown) {
      if (counts.get(place.address) !== most) continue
      this.#unknown.delete(key)
      this.#onRefused(
        place.address,
        `${this.#limits.maxUnknown} connections have not been admitted yet, ${most} of them from there`,
      )
      place.socket.destroy()
      return true
    }
    return false
  }
}

function keyOf(address: string, port: number): string {
  return `${address} ${port}`
}
