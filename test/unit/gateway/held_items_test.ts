import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import type { ReplicationServerId, SourceServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { newSourceServer } from '../../../domain/source_server.ts'
import { Fleet } from '../../../gateway/fleet.ts'
import { holdRecords } from '../../../gateway/held_items.ts'
import { changeServer } from '../../../gateway/server_changes.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { inventory } from './callers.ts'
import { LocalChanges } from './doubles.ts'

const idOf = (number: number): SourceServerId => `s-${String(number).padStart(17, '0')}` as SourceServerId

/** Counts reads, and holds one back until it is told. */
class SlowStore extends MemoryStore {
  reads = 0
  wait: Promise<void> = Promise.resolve()
  override get: MemoryStore['get'] = async (kind, key) => {
    this.reads += 1
    const { wait } = this
    const found = await super.get(kind, key)
    await wait
    return found
  }
}

async function heldFleet(size: number) {
  const store = new SlowStore()
  const changes = new LocalChanges()
  let time = 1_000_000
  const held = holdRecords(store, changes, () => new Date(time))
  for (let number = 0; number < size; number++) {
    const sourceServerId = idOf(number)
    const agent = {
      version: '0.1.0',
      certificateSerial: 'A',
      certificateNotAfter: '2026-03-08T12:00:00.000Z',
      generation: 1,
      desired: 'REPLICATE' as const,
    }
    const sourceProperties = inventory(`host-${number}`)
    const at = '2026-03-01T12:00:00.000Z'
    await store.create(
      'server',
      { id: sourceServerId },
      newSourceServer({ sourceServerId, at, sourceProperties, disks: [], agent }),
    )
    await held.servers.read(sourceServerId)
  }
  store.reads = 0
  /** Another process writes; it tells of it or not. */
  const write = async (number: number, name: string, isTold: boolean) => {
    const key = { id: idOf(number) }
    const found = await MemoryStore.prototype.get.call(store, 'server', key)
    if (found === undefined) throw new Error(`There is no server ${key.id}`)
    const next = { ...(found.value as ReturnType<typeof newSourceServer>), userProvidedId: name }
    const revision = await store.replace('server', key, found.revision, next)
    if (isTold) await changes.publish({ kind: 'server', id: key.id, revision })
    return { value: next, revision }
  }
  const nameOf = async (number: number) => (await held.servers.read(idOf(number)))?.value.userProvidedId
  const pass = (ms: number) => void (time += ms)
  return { store, changes, held, write, nameOf, pass }
}

describe('HeldItems', () => {
  it('reads every server of a small fleet each time', async () => {
    const { store, nameOf, write } = await heldFleet(20)
    await write(3, 'unheard of', false)
    expect(await nameOf(3)).toBe('unheard of')
    expect(store.reads).toBe(1)
  })

  it('reads once for many that ask at the same moment, and holds it; not for who asks after a change', async () => {
    const { store, nameOf, write } = await heldFleet(300)
    await write(3, 'first', true)
    let goOn = (): void => undefined
    store.wait = new Promise((resolve) => (goOn = resolve))
    const early = Array.from({ length: 50 }, () => nameOf(3))
    await write(3, 'second', true)
    const late = Array.from({ length: 50 }, () => nameOf(3))
    goOn()
    expect(new Set(await Promise.all(early))).toEqual(new Set(['first']))
    expect(new Set(await Promise.all(late))).toEqual(new Set(['second']))
    expect(store.reads).toBe(2)
    // Two overlapped: which of them is the older is not known, so neither is held.
    for (let round = 0; round < 3; round++) expect(await nameOf(3)).toBe('second')
    expect(store.reads).toBe(3)
  })

  it('answers for a large fleet from memory, hears of changes, and misses one for seconds at most', async () => {
    const { store, nameOf, write, pass } = await heldFleet(300)
    expect(await nameOf(3)).toBeUndefined()
    expect(store.reads).toBe(0)
    await write(3, 'told', true)
    expect(await nameOf(3)).toBe('told')
    await write(3, 'unheard of', false)
    expect(await nameOf(3)).toBe('told')
    pass(15_000)
    expect(await nameOf(3)).toBe('unheard of')
    expect(store.reads).toBe(2)
  })

  it('gives what it holds of a replication server while a slow store reads it, for seconds at most', async () => {
    const { store, held, pass } = await heldFleet(300)
    const replicationServerId = 'i-00000000000000001' as ReplicationServerId
    const key = { id: replicationServerId }
    const first = { replicationServerId, createdAt: '2026-03-01T12:00:00.000Z', state: 'LAUNCHING' } as const
    const revision = await store.create('replicationServer', key, first)
    const state = async () => (await held.replicationServers.read(replicationServerId))?.value.state
    expect(await state()).toBe('LAUNCHING')
    await store.replace('replicationServer', key, revision, { ...first, state: 'READY' })
    const { promise, resolve } = Promise.withResolvers<void>()
    store.wait = promise
    store.reads = 0
    pass(1000)
    expect(await Promise.all([state(), state(), state()])).toEqual(['LAUNCHING', 'LAUNCHING', 'LAUNCHING'])
    expect(store.reads).toBe(1)
    pass(3000)
    const late = state()
    resolve()
    expect(await late).toBe('READY')
    expect(await state()).toBe('READY')
    expect(store.reads).toBe(1)
    store.wait = Promise.reject(new Error('The store is away'))
    pass(1000)
    expect(await state()).toBe('READY')
    await new Promise(setImmediate)
    await expect(state()).rejects.toThrow('The store is away')
  })

  it('holds nothing that was read before a change and arrives after it', async () => {
    const { store, nameOf, write, held } = await heldFleet(300)
    const { promise, resolve } = Promise.withResolvers<void>()
    store.wait = promise
    const old = held.servers.readAnew(idOf(7))
    store.wait = Promise.resolve()
    await write(7, 'later', true)
    resolve()
    expect((await old)?.value.userProvidedId).toBeUndefined()
    expect(await nameOf(7)).toBe('later')
  })

  it('keeps what was written here when its own notice comes, and drops it at another one', async () => {
    const { store, nameOf, write, held, changes } = await heldFleet(300)
    const id = idOf(9)
    const begun = held.servers.begin(id)
    const own = await write(9, 'own', false)
    held.servers.end(id, begun, own)
    await changes.publish({ kind: 'server', id, revision: own.revision })
    expect(await nameOf(9)).toBe('own')
    expect(store.reads).toBe(0)
    await write(9, 'theirs', true)
    expect(await nameOf(9)).toBe('theirs')
    await write(9, 'of somebody who does not know its revision', false)
    await changes.publish({ kind: 'server', id })
    expect(await nameOf(9)).toBe('of somebody who does not know its revision')
  })

  it('does not take the notice of another for its own, whichever comes first', async () => {
    const { nameOf, write, held } = await heldFleet(300)
    const id = idOf(9)
    const begun = held.servers.begin(id)
    const own = await write(9, 'own', false)
    held.servers.end(id, begun, own)
    await write(9, 'theirs', true)
    expect(await nameOf(9)).toBe('theirs')
  })

  it.each(['first', 'last'])(
    'holds no read that overlapped a write here, should it end %s',
    async (readEnds) => {
      const { nameOf, write, held, changes } = await heldFleet(300)
      const id = idOf(11)
      const writing = held.servers.begin(id)
      const reading = held.servers.begin(id)
      const before = await held.servers.read(id)
      const own = await write(11, 'own', false)
      if (readEnds === 'first') held.servers.end(id, reading, before)
      held.servers.end(id, writing, own)
      if (readEnds === 'last') held.servers.end(id, reading, before)
      expect(await nameOf(11)).toBe('own')
      await changes.publish({ kind: 'server', id, revision: own.revision })
      expect(await nameOf(11)).toBe('own')
    },
  )

  it('gives nothing that is held while notices cannot come, nor what was held before', async () => {
    const { store, nameOf, write, changes } = await heldFleet(300)
    changes.unbroken = undefined
    await write(3, 'during the break', false)
    expect(await nameOf(3)).toBe('during the break')
    await write(3, 'at its end', false)
    changes.unbroken = Symbol('unbroken')
    expect(await nameOf(3)).toBe('at its end')
    expect(await nameOf(3)).toBe('at its end')
    expect(store.reads).toBe(2)
  })

  it('does not go by a clock that was set back', async () => {
    const { nameOf, write, pass } = await heldFleet(300)
    await write(3, 'unheard of', false)
    pass(-3_600_000)
    expect(await nameOf(3)).toBe('unheard of')
  })

  it('holds nothing after a store that failed', async () => {
    const { store, nameOf, write, held } = await heldFleet(300)
    store.wait = Promise.reject(new Error('The store is away'))
    await expect(held.servers.readAnew(idOf(3))).rejects.toThrow('The store is away')
    store.wait = Promise.resolve()
    await write(3, 'unheard of', false)
    expect(await nameOf(3)).toBe('unheard of')
  })
})

describe('changeServer', () => {
  it('leaves nothing older held than what it read, though there was nothing to write', async () => {
    const { store, held, changes, write, nameOf } = await heldFleet(300)
    const fleet = new Fleet(store, changes, () => new Date(0))
    const services = { store, held, changes, fleet, log: pino({ level: 'silent' }) }
    const id = idOf(5)
    const known = await held.servers.read(id)
    await write(5, 'wanted', false)
    const rename = (server: SourceServer): SourceServer =>
      server.userProvidedId === 'wanted' ? server : { ...server, userProvidedId: 'wanted' }
    expect((await changeServer(services, id, rename, known)).userProvidedId).toBe('wanted')
    expect(await nameOf(5)).toBe('wanted')
    expect(changes.published).toEqual([])
    fleet.close()
  })

  it('asks nothing where there is nothing to change, and lets a write that is under way be held', async () => {
    const { store, held, changes, write, nameOf } = await heldFleet(300)
    const fleet = new Fleet(store, changes, () => new Date(0))
    const services = { store, held, changes, fleet, log: pino({ level: 'silent' }) }
    const id = idOf(5)
    const known = await held.servers.read(id)
    const begun = held.servers.begin(id)
    const written = await write(5, 'written', false)
    expect(await changeServer(services, id, (server) => server, known)).toBe(known?.value)
    held.servers.end(id, begun, written)
    expect(await nameOf(5)).toBe('written')
    expect(store.reads).toBe(0)
    fleet.close()
  })

  it('refuses only for what is stored, and holds nothing of it afterwards', async () => {
    const { store, held, changes, write, nameOf } = await heldFleet(300)
    const fleet = new Fleet(store, changes, () => new Date(0))
    const services = { store, held, changes, fleet, log: pino({ level: 'silent' }) }
    const id = idOf(5)
    const known = await held.servers.read(id)
    await write(5, 'stored', false)
    const refuse = (server: SourceServer): SourceServer => {
      throw new Error(`Refused as ${server.userProvidedId ?? 'nobody'}`)
    }
    await expect(changeServer(services, id, refuse, known)).rejects.toThrow('Refused as stored')
    expect(await nameOf(5)).toBe('stored')
    fleet.close()
  })
})
