import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WorkerWorld } from '../../fixtures/worker_world.ts'

let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.ready()
})
afterEach(() => world.close())

describe('the relay', () => {
  it('lists events in order, each once, and empties the outbox', async () => {
    const before = await world.server()
    expect(before.outbox.length).toBeGreaterThan(1)
    // A relay that died after writing the first event.
    const [first] = before.outbox
    if (first === undefined) throw new Error('No event waits')
    await world.store.create(
      'serverEvent',
      { parent: world.serverId, id: String(first.sequence).padStart(12, '0') },
      first,
    )
    await world.reconcileAfter(0)
    const server = await world.server()
    expect(server.outbox).toEqual([])
    const { items } = await world.store.list('serverEvent', { parent: world.serverId })
    expect(items.map(({ value }) => value.sequence)).toEqual(
      Array.from({ length: server.eventSequence }, (_, index) => index + 1),
    )
  })
})
