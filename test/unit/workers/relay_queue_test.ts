import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { SourceServerId } from '../../../domain/ids.ts'
import { placeInFeed, eventItemId, readFeed } from '../../../store/event_feed.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { RelayQueue } from '../../../workers/relay_queue.ts'

const idOf = (number: number) => `s-${String(number).padStart(17, '0')}` as SourceServerId

/** A queue whose relays end when they are told to. */
function scene() {
  const begun: SourceServerId[] = []
  const ends = new Map<SourceServerId, (error?: Error) => void>()
  const troubles: string[] = []
  const queue = new RelayQueue({
    relay: (id) => {
      begun.push(id)
      return new Promise((resolve, reject) => {
        ends.set(id, (error) => {
          ends.delete(id)
          if (error === undefined) resolve()
          else reject(error)
        })
      })
    },
    trouble: (id, error) => troubles.push(`${id}: ${(error as Error).message}`),
  })
  const end = async (id: SourceServerId, error?: Error) => {
    ends.get(id)?.(error)
    await setImmediate()
  }
  const tell = (number: number, said: { hasEvents?: boolean } = {}) =>
    queue.hear({ kind: 'server', id: idOf(number), ...said })
  return { queue, tell, begun, running: ends, troubles, end }
}

describe('RelayQueue', () => {
  it('relays each server once, however often it is told, and eight at a time', async () => {
    const { tell, begun, running, end } = scene()
    for (let number = 1; number <= 20; number++) tell(number)
    for (let number = 9; number <= 20; number++) tell(number)
    let most = running.size
    while (running.size > 0) {
      const [first] = running.keys()
      if (first !== undefined) await end(first)
      most = Math.max(most, running.size)
    }
    expect(most).toBe(8)
    expect(begun).toEqual(Array.from({ length: 20 }, (_, index) => idOf(index + 1)))
  })

  it('relays one again that was told of while it was relayed, and not beside itself', async () => {
    const { tell, begun, running, end } = scene()
    tell(1)
    tell(1)
    tell(1)
    expect(begun).toEqual([idOf(1)])
    await end(idOf(1))
    expect(begun).toEqual([idOf(1), idOf(1)])
    await end(idOf(1))
    expect(running.size).toBe(0)
    expect(begun).toHaveLength(2)
  })

  it('goes on after one that fails, and tells of it', async () => {
    const { tell, begun, troubles, end } = scene()
    for (let number = 1; number <= 9; number++) tell(number)
    await end(idOf(3), new Error('the store is away'))
    expect(troubles).toEqual([`${idOf(3)}: the store is away`])
    expect(begun.at(-1)).toBe(idOf(9))
  })

  it('looks at no server whose notice says that nothing waits in it, and at no other thing', () => {
    const { queue, tell, begun, running } = scene()
    for (let number = 1; number <= 1000; number++) tell(number, { hasEvents: false })
    queue.hear({ kind: 'job', id: 'mgnjob-00000000000000001' })
    expect(running.size).toBe(0)
    tell(1001, { hasEvents: true })
    tell(1002)
    expect(begun).toEqual([idOf(1001), idOf(1002)])
  })

  it('keeps the tries for a place in the feed few when hundreds of servers are told at once', async () => {
    const store = new MemoryStore()
    const servers = Array.from({ length: 300 }, (_, index) => idOf(index + 1))
    for (const parent of servers)
      await store.create(
        'serverEvent',
        { parent, id: eventItemId(1) },
        {
          sequence: 1,
          at: '2026-03-01T12:00:00.000Z',
          type: 'CONFIGURATION',
          level: 'INFO',
          actor: 'somebody',
          message: 'Imported',
          detail: {},
        },
      )
    let tries = 0
    const create = store.create.bind(store)
    store.create = (kind, ...rest) => {
      if (kind === 'eventFeed') tries++
      return create(kind, ...rest)
    }
    await new Promise<void>((resolve) => {
      let left = servers.length
      const queue = new RelayQueue({
        relay: async (id) => {
          await placeInFeed(store, id, 1)
          if (--left === 0) resolve()
        },
        trouble: (_id, error) => expect.fail(String(error)),
      })
      for (const id of servers) queue.hear({ kind: 'server', id })
    })
    const { events } = await readFeed(store, 0, 1000)
    expect(new Set(events.map(({ sourceServerId }) => sourceServerId))).toEqual(new Set(servers))
    // All at once, it would be half the square of their number.
    expect(tries).toBeLessThanOrEqual(8 * servers.length)
  })
})
