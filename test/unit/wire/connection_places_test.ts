import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ConnectionPlaces } from '../../../wire/connection_places.ts'

/** A connection that closes a moment after it was ended, as they do. */
class TestSocket extends EventEmitter {
  readonly remoteAddress: string
  readonly remotePort: number
  isDestroyed = false

  constructor(remoteAddress: string, remotePort: number) {
    super()
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
  }

  destroy(): void {
    this.isDestroyed = true
  }

  get asSocket(): Socket {
    return this as unknown as Socket
  }
}

function makePlaces(maxUnknown: number, maxConnections: number) {
  const refusals: [string, string][] = []
  const places = new ConnectionPlaces({ maxUnknown, maxConnections }, (address, reason) =>
    refusals.push([address, reason]),
  )
  let port = 0
  const come = (address: string, ownPort = ++port): TestSocket => {
    const socket = new TestSocket(address, ownPort)
    places.admit(socket.asSocket)
    return socket
  }
  const know = (socket: TestSocket): void => places.know(socket.asSocket)
  return { places, refusals, come, know }
}

describe('ConnectionPlaces', () => {
  it('end the oldest of who has most, for somebody who has fewer', () => {
    const { come, refusals } = makePlaces(4, 100)
    const many = [1, 2, 3].map(() => come('192.0.2.1'))
    const other = come('192.0.2.2')
    const newcomer = come('192.0.2.3')
    expect([...many, other, newcomer].map(({ isDestroyed }) => isDestroyed)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ])
    expect(refusals).toEqual([
      ['192.0.2.1', '4 connections have not been admitted yet, 3 of them from there'],
    ])
    expect(come('192.0.2.1').isDestroyed).toBe(true)
    expect(refusals[1]).toEqual(['192.0.2.1', '4 connections have not been admitted yet'])
  })

  it('do not end one for another when both are of their kind', () => {
    const { come } = makePlaces(3, 100)
    const some = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address) => come(address))
    expect(come('192.0.2.4').isDestroyed).toBe(true)
    expect(some.some(({ isDestroyed }) => isDestroyed)).toBe(false)
  })

  it('count only those that nobody knows against the smaller limit, and all against the other', () => {
    const { come, know, refusals } = makePlaces(2, 4)
    const known = [1, 2, 3].map(() => {
      const socket = come('192.0.2.1')
      know(socket)
      return socket
    })
    const fourth = come('192.0.2.1')
    expect(fourth.isDestroyed).toBe(false)
    expect(come('192.0.2.9').isDestroyed).toBe(true)
    expect(refusals).toEqual([['192.0.2.9', 'there are 4 connections already']])
    known[0]?.emit('close')
    expect(come('192.0.2.9').isDestroyed).toBe(false)
  })

  it('leave the place to a connection that has come from the same port since', () => {
    const { come, know } = makePlaces(2, 100)
    const crowd = [come('192.0.2.1', 7), come('192.0.2.1', 8)]
    const ousting = come('192.0.2.2')
    expect(crowd[0]?.isDestroyed).toBe(true)
    know(ousting)
    const again = come('192.0.2.1', 7)
    crowd[0]?.emit('close')
    // The place of the second one from that port still counts.
    expect([again.isDestroyed, come('192.0.2.1').isDestroyed]).toEqual([false, true])
  })

  it('end all', () => {
    const { places, come, know } = makePlaces(2, 100)
    const sockets = [come('192.0.2.1'), come('192.0.2.1')]
    if (sockets[0] !== undefined) know(sockets[0])
    places.destroyAll()
    expect(sockets.every(({ isDestroyed }) => isDestroyed)).toBe(true)
  })
})
