import { describe, expect, it } from 'vitest'
import type { SourceServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { newSourceServer } from '../../../domain/source_server.ts'
import { Fleet } from '../../../gateway/fleet.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { inventory } from './callers.ts'
import { LocalChanges } from './doubles.ts'

function serverNumber(number: number): SourceServer {
  return newSourceServer({
    sourceServerId: `s-${String(number).padStart(17, '0')}` as SourceServerId,
    at: new Date(1_700_000_000_000 + number).toISOString(),
    sourceProperties: inventory(`host-${number}`),
    disks: [],
    agent: {
      version: '0.1.0',
      certificateSerial: 'A',
      certificateNotAfter: '2026-03-08T12:00:00.000Z',
      generation: 1,
      desired: 'REPLICATE',
    },
  })
}

class CountingStore extends MemoryStore {
  listings = 0
  reads = 0
  isAway = false
  override list: MemoryStore['list'] = async (kind, options) => {
    if (this.isAway) throw new Error('The store is away')
    if (options?.cursor === undefined) this.listings++
    return super.list(kind, options)
  }
  override get: MemoryStore['get'] = async (kind, key) => {
    if (this.isAway) throw new Error('The store is away')
    this.reads++
    return super.get(kind, key)
  }
}

async function fleetOf(size: number) {
  const store = new CountingStore()
  const changes = new LocalChanges()
  let time = 0
  const fleet = new Fleet(store, changes, () => new Date(time))
  for (let number = 0; number < size; number++) {
    const server = serverNumber(number)
    await store.create('server', { id: server.sourceServerId }, server)
  }
  const write = async (number: number, name: string): Promise<SourceServer> => {
    const id = serverNumber(number).sourceServerId
    const found = await MemoryStore.prototype.get.call(store, 'server', { id })
    if (found === undefined) throw new Error(`There is no server ${id}`)
    const server = found.value as SourceServer
    const next = { ...server, userProvidedId: name, eventSequence: server.eventSequence + 1 }
    await store.replace('server', { id }, found.revision, next)
    return next
  }
  const nameOf = async (number: number) => (await fleet.list())[number]?.userProvidedId
  return { store, changes, fleet, write, nameOf, pass: (ms: number) => (time += ms) }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('Fleet', () => {
  it('of a small fleet gives the latest, oldest server first', async () => {
    const { fleet, changes, write, nameOf, store } = await fleetOf(3)
    expect((await fleet.list()).map(({ sourceServerId }) => sourceServerId)).toEqual(
      [0, 1, 2].map((number) => serverNumber(number).sourceServerId),
    )
    await changes.publish({ kind: 'server', id: (await write(1, 'new')).sourceServerId })
    expect(await nameOf(1)).toBe('new')
    expect(store.listings).toBe(1)
    await store.remove('server', { id: serverNumber(2).sourceServerId })
    await changes.publish({ kind: 'server', id: serverNumber(2).sourceServerId })
    expect(await fleet.list()).toHaveLength(2)
  })

  it('of a large fleet gives what it holds at once, and reads behind the caller', async () => {
    const { fleet, write, nameOf, pass, store } = await fleetOf(300)
    await fleet.list()
    await write(7, 'unheard of')
    pass(10_000)
    expect(await nameOf(7)).toBeUndefined()
    await settle()
    expect(await nameOf(7)).toBe('unheard of')
    expect(store.listings).toBe(2)
  })

  it('of a large fleet gives whoever must see it what others have just changed, and nothing is lost by that', async () => {
    const { fleet, changes, write, store, pass } = await fleetOf(300)
    const latest = async (number: number) => (await fleet.latest())[number]?.userProvidedId
    await fleet.latest()
    const tell = async (server: SourceServer) =>
      changes.publish({ kind: 'server', id: server.sourceServerId })
    await tell(await write(7, 'first'))
    expect(await latest(7)).toBe('first')
    expect(store.listings).toBe(1)
    // A listing that is due does not keep the caller waiting.
    pass(10_000)
    await tell(await write(7, 'second'))
    expect(await latest(7)).toBe('second')
    store.isAway = true
    await tell(await write(7, 'third'))
    await expect(fleet.latest()).rejects.toThrow('The store is away')
    store.isAway = false
    expect(await latest(7)).toBe('third')
  })

  it('a listing on its way does not undo what was read meanwhile', async () => {
    const { fleet, changes, write, store, pass } = await fleetOf(300)
    await fleet.list()
    pass(10_000)
    const list = store.list.bind(store)
    const held = Promise.withResolvers<undefined>()
    store.list = async (kind, options) => {
      const page = await list(kind, options)
      await held.promise
      return page
    }
    await fleet.list()
    await settle()
    await changes.publish({ kind: 'server', id: (await write(7, 'new')).sourceServerId })
    expect((await fleet.latest())[7]?.userProvidedId).toBe('new')
    held.resolve(undefined)
    await settle()
    await settle()
    expect((await fleet.latest())[7]?.userProvidedId).toBe('new')
  })

  it('whoever must see the latest waits for what somebody else is reading', async () => {
    const { fleet, changes, write, store, pass } = await fleetOf(300)
    const seen = async () => (await fleet.latest())[7]?.userProvidedId
    await fleet.list()
    await changes.publish({ kind: 'server', id: (await write(7, 'one')).sourceServerId })
    expect(await Promise.all([seen(), seen()])).toEqual(['one', 'one'])
    await changes.publish({ kind: 'server', id: (await write(7, 'two')).sourceServerId })
    await fleet.list()
    expect(await seen()).toBe('two')
    // As well where the other one lists all of it, which takes long.
    const list = store.list.bind(store)
    const held = Promise.withResolvers<undefined>()
    store.list = async (kind, options) => {
      await held.promise
      return list(kind, options)
    }
    pass(10_000)
    await changes.publish({ kind: 'server', id: (await write(7, 'three')).sourceServerId })
    await fleet.list()
    expect(await seen()).toBe('three')
    held.resolve(undefined)
    await settle()
    expect(await seen()).toBe('three')
  })

  it('whoever must see the latest is told when somebody else cannot read it, and it is read again', async () => {
    const { fleet, changes, write, store } = await fleetOf(300)
    await fleet.list()
    await changes.publish({ kind: 'server', id: (await write(7, 'new')).sourceServerId })
    const get = store.get.bind(store)
    store.get = () => Promise.reject(new Error('The store is away'))
    await fleet.list()
    await expect(fleet.latest()).rejects.toThrow('The store is away')
    store.get = get
    expect((await fleet.latest())[7]?.userProvidedId).toBe('new')
  })

  it('what was read before a write made here does not take its place', async () => {
    const { fleet, changes, write, nameOf, store } = await fleetOf(300)
    await fleet.list()
    const { sourceServerId: id } = await write(7, 'theirs')
    const get = store.get.bind(store)
    const held = Promise.withResolvers<undefined>()
    store.get = async (kind, key) => {
      const found = await get(kind, key)
      await held.promise
      return found
    }
    await changes.publish({ kind: 'server', id })
    await fleet.list()
    await settle()
    const own = await write(7, 'ours')
    fleet.note(own)
    await changes.publish({ kind: 'server', id })
    held.resolve(undefined)
    store.get = get
    await settle()
    expect(await nameOf(7)).toBe('ours')
    await settle()
    expect(await nameOf(7)).toBe('ours')
  })

  it('reads all of it again where notices were missed', async () => {
    const { fleet, changes, write, nameOf, store } = await fleetOf(300)
    await fleet.list()
    changes.unbroken = undefined
    await write(7, 'during the break')
    changes.unbroken = Symbol('unbroken')
    await fleet.list()
    await settle()
    expect(await nameOf(7)).toBe('during the break')
    expect(store.listings).toBe(2)
  })

  it('lets whoever comes after a long time wait for the latest', async () => {
    const { fleet, write, nameOf, pass } = await fleetOf(300)
    await fleet.list()
    await write(7, 'unheard of')
    pass(300_001)
    expect(await nameOf(7)).toBe('unheard of')
  })

  it('does not read again what was written here, and hears of what others write afterwards', async () => {
    const { fleet, changes, write, nameOf, store } = await fleetOf(300)
    await fleet.list()
    const reads = store.reads
    for (let number = 0; number < 250; number++) {
      const own = await write(number, 'own')
      fleet.note(own)
      await changes.publish({ kind: 'server', id: own.sourceServerId })
    }
    expect(await nameOf(7)).toBe('own')
    expect([store.reads - reads, store.listings]).toEqual([0, 1])
    await changes.publish({ kind: 'server', id: (await write(7, 'theirs')).sourceServerId })
    await fleet.list()
    await settle()
    expect(await nameOf(7)).toBe('theirs')
  })

  it('never puts an older write over a newer one, nor a listing over a write made meanwhile', async () => {
    const { fleet, write, nameOf, pass, changes } = await fleetOf(2)
    await fleet.list()
    const older = await write(0, 'older')
    await changes.publish({ kind: 'server', id: (await write(0, 'newer')).sourceServerId })
    await fleet.list()
    fleet.note(older)
    expect(await nameOf(0)).toBe('newer')
    pass(1000)
    const listing = fleet.list()
    fleet.note(await write(1, 'meanwhile'))
    await listing
    expect(await nameOf(1)).toBe('meanwhile')
  })

  it('keeps what it must read when the store is away', async () => {
    const { fleet, changes, write, nameOf, store } = await fleetOf(3)
    await fleet.list()
    await changes.publish({ kind: 'server', id: (await write(1, 'new')).sourceServerId })
    store.isAway = true
    await expect(fleet.list()).rejects.toThrow('The store is away')
    store.isAway = false
    expect(await nameOf(1)).toBe('new')
  })
})
