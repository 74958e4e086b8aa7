import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ReplicationServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { mutate } from '../../../store/mutate.ts'
import { removeIfUnused } from '../../../workers/cleanup/replication_servers.ts'
import { WorkerWorld } from '../../fixtures/worker_world.ts'

let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.make()
  await world.work()
  await world.makeReady()
})
afterEach(() => world.close())

async function events(): Promise<string[]> {
  const { items } = await world.store.list('serverEvent', { parent: world.serverId, limit: 1000 })
  return items.map(({ value }) => value.message)
}

async function replicationServerId(): Promise<ReplicationServerId> {
  const id = (await world.server()).replication.replicationServerId
  if (id === undefined) throw new Error('The server has no replication server')
  return id
}

async function stateOf(id: ReplicationServerId): Promise<string | undefined> {
  return (await world.store.get('replicationServer', { id }))?.value.state
}

describe('an agent', () => {
  it('that falls silent stalls replication, and that is said once with what to do', async () => {
    world.silenceAgent()
    await world.reconcileAfter(0)
    await world.reconcileAfter(3000)
    await world.reconcileAfter(3000)
    const { replication } = await world.server()
    expect(replication.state).toBe('STALLED')
    expect(replication.error).toMatchObject({ error: 'AGENT_NOT_SEEN' })
    expect(replication.error?.rawError).toMatch(/^The agent was last seen at 20/)
    expect(replication.error?.whatToDo).toMatch(/shop is up.*rehost-agent/)
    expect((await events()).filter((message) => message.startsWith('AGENT_NOT_SEEN'))).toHaveLength(1)
  })

  it('that reports is left alone', async () => {
    await world.reconcileAfter(30_000)
    expect((await world.server()).replication.state).toBe('CONTINUOUS')
  })
})

describe('a replication server', () => {
  it('that has died is started again, and its servers are told once', async () => {
    const id = await replicationServerId()
    world.areReplicationServersSilent = true
    world.memoryCloud.crashReplicationServer(id)
    await world.reconcileAfter(20_000)
    expect(await stateOf(id)).toBe('LOST')
    expect((await world.cloud.describeReplicationServer(id))?.state).toBe('RUNNING')
    world.memoryCloud.crashReplicationServer(id)
    await world.reconcileAfter(20_000)
    expect((await world.cloud.describeReplicationServer(id))?.state).toBe('RUNNING')
    await world.reconcileAfter(1000)
    expect((await events()).filter((message) => message.includes('is started again'))).toHaveLength(1)
    world.areReplicationServersSilent = false
    await world.reconcileAfter(1000)
    expect(await stateOf(id)).toBe('READY')
  })

  it('that was being removed when its worker died is removed to the end', async () => {
    const id = 'i-00000000000000009' as ReplicationServerId
    await world.cloud.createReplicationServer({
      replicationServerId: id,
      enrolment: { gatewayUrl: '', caPem: '', token: '' },
      tags: {},
    })
    const createdAt = world.bench.clock().toISOString()
    await world.store.create(
      'replicationServer',
      { id },
      { replicationServerId: id, createdAt, state: 'REMOVED' },
    )
    await world.reconcileAfter(1000)
    expect(await stateOf(id)).toBeUndefined()
    expect(await world.cloud.describeReplicationServer(id)).toBeUndefined()
    expect(await stateOf(await replicationServerId())).toBe('READY')
  })

  it('that somebody uses is not removed', async () => {
    const id = await replicationServerId()
    await removeIfUnused(world.bench, id)
    expect(await stateOf(id)).toBe('READY')
  })

  it('that is chosen while it is being removed stays', async () => {
    const id = await replicationServerId()
    const choose = (replicationServerId: ReplicationServerId | undefined) =>
      mutate(world.store, 'server', { id: world.serverId }, (server): SourceServer => {
        const { replicationServerId: _old, ...replication } = server.replication
        return {
          ...server,
          replication: {
            ...replication,
            ...(replicationServerId === undefined ? {} : { replicationServerId }),
          },
        }
      })
    await choose(undefined)
    const { store } = world
    world.bench.store = new Proxy(store, {
      get: (target, property) =>
        property === 'replace'
          ? async (...args: Parameters<typeof store.replace>) => {
              const revision = await target.replace(...args)
              // The mark is written: now the other side chooses, having looked at the record before.
              if (args[0] === 'replicationServer') await choose(id)
              return revision
            }
          : (Reflect.get(target, property) as unknown),
    })
    await removeIfUnused(world.bench, id)
    world.bench.store = store
    expect(await stateOf(id)).toBe('LAUNCHING')
    expect((await world.cloud.describeReplicationServer(id))?.state).toBe('RUNNING')
  })
})

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
