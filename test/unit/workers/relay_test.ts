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

describe('a job', () => {
  /** What is told of jobs, oldest first. */
  async function told(): Promise<string[]> {
    await world.reconcileAfter(0)
    const { items } = await world.store.list('serverEvent', { parent: world.serverId, limit: 1000 })
    return items
      .filter(({ value: { type, detail } }) => type === 'JOB' && 'status' in detail)
      .map(({ value: { detail } }) => [detail['status'], detail['launch-status']].filter(Boolean).join(' '))
  }

  it('is told of when it is made, when it begins and when it ends, each once', async () => {
    await world.act('START_TEST')
    expect(await told()).toEqual(['PENDING'])
    await world.work()
    expect(await told()).toEqual(['PENDING', 'STARTED', 'COMPLETED LAUNCHED'])
    await world.act('REVERT_TO_READY_FOR_TEST')
    await world.work()
    expect((await told()).slice(3)).toEqual(['PENDING', 'STARTED', 'COMPLETED TERMINATED'])
  })

  it('is told of the same way when its worker dies at any of its first writes', async () => {
    await world.act('START_TEST')
    await world.reconcileAfter(0)
    world.plan.arm(4, false)
    expect(await world.work()).toBe(1)
    expect(await told()).toEqual(['PENDING', 'STARTED', 'COMPLETED LAUNCHED'])
  })
})
