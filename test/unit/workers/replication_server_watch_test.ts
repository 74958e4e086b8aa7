import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PlannedFailure } from '../../../cloud/wrappers/failing.ts'
import type { ConsistencyPointId, ReplicationServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { failing } from '../../../cloud/wrappers/failing.ts'
import { mutate } from '../../../store/mutate.ts'
import { removeIfUnused } from '../../../workers/cleanup/replication_servers.ts'
import { WorkerWorld } from '../../fixtures/worker_world.ts'

let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.ready()
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

  it('that has vanished is made anew under its name, and its servers are told once what and once that it is over', async () => {
    const id = await replicationServerId()
    const before = await world.server()
    world.areReplicationServersSilent = true
    world.memoryCloud.loseReplicationServer(id)
    await world.reconcileAfter(20_000)
    await world.reconcileAfter(3000)
    expect(await stateOf(id)).toBe('LOST')
    expect((await world.cloud.describeReplicationServer(id))?.state).toBe('RUNNING')
    const tokens = (await world.store.list('token')).items.map(({ value }) => value.replicationServerId)
    expect(tokens).toEqual([id])
    world.areReplicationServersSilent = false
    await world.reconcileAfter(1000)
    await world.reconcileAfter(1000)
    expect(await stateOf(id)).toBe('READY')
    expect((await world.store.list('token')).items).toEqual([])
    const told = (await events()).filter((message) => message.includes(id))
    expect(told).toEqual([
      `Replication server ${id} has vanished from the memory cloud and is made anew; its volumes are attached to it again`,
      `Replication server ${id} reports again`,
    ])
    expect((await world.server()).disks).toEqual(before.disks)
  })

  it('that has vanished while it held writes back lets no snapshot be taken of that moment', async () => {
    const id = await replicationServerId()
    const at = world.bench.clock().toISOString()
    await mutate(world.store, 'server', { id: world.serverId }, (server) => ({
      ...server,
      consistencyRequest: {
        consistencyPointId: 'cp-00000000000000001' as ConsistencyPointId,
        state: 'REACHED',
        requestedAt: at,
        expiresAt: new Date(Date.parse(at) + 600_000).toISOString(),
      },
    }))
    world.areReplicationServersSilent = true
    world.memoryCloud.loseReplicationServer(id)
    await world.reconcileAfter(20_000)
    expect((await world.server()).consistencyRequest).toMatchObject({
      state: 'FAILED',
      failure: `replication server ${id} was lost`,
    })
  })

  it('whose certificate is past is made anew, because it cannot renew it any more', async () => {
    const id = await replicationServerId()
    const certificateNotAfter = world.bench.clock().toISOString()
    await mutate(world.store, 'replicationServer', { id }, (own) => ({ ...own, certificateNotAfter }))
    world.areReplicationServersSilent = true
    await world.reconcileAfter(20_000)
    expect((await world.store.list('token')).items).toHaveLength(1)
    await world.reconcileAfter(1000)
    expect((await events()).at(-1)).toContain(`was valid until ${certificateNotAfter}`)
    expect((await world.cloud.describeReplicationServer(id))?.state).toBe('RUNNING')
  })

  it('that cannot be started again is told once for each reason, and tried until it can', async () => {
    const id = await replicationServerId()
    world.areReplicationServersSilent = true
    world.memoryCloud.crashReplicationServer(id)
    const plan: PlannedFailure[] = ['port 1500 is taken', 'port 1500 is taken', 'no memory'].map(
      (reason) => ({
        operation: 'restartReplicationServer',
        when: 'before',
        error: new Error(`Cannot start replication server ${id}: ${reason}`),
      }),
    )
    world.bench.cloud = failing(world.cloud, plan)
    for (let round = 0; round < 4; round++) await world.reconcileAfter(20_000)
    expect((await world.cloud.describeReplicationServer(id))?.state).toBe('RUNNING')
    const told = (await events()).filter((message) => message.includes('Rehost tries again'))
    expect(told).toHaveLength(2)
    expect(told[0]).toMatch(/^Cannot start replication server i-\w+: port 1500 is taken. Rehost tries again$/)
  })

  it('that runs and is silent for long is told of, and left as it is', async () => {
    const id = await replicationServerId()
    world.areReplicationServersSilent = true
    await world.reconcileAfter(60_000)
    expect(await stateOf(id)).toBe('READY')
    await world.reconcileAfter(60_000)
    await world.reconcileAfter(60_000)
    expect(await stateOf(id)).toBe('LOST')
    expect(
      (await events()).filter((message) => message.includes('runs and has not reported since')),
    ).toHaveLength(1)
  })

  it('that nobody uses and that is not there leaves no record', async () => {
    const id = 'i-00000000000000008' as ReplicationServerId
    const createdAt = world.bench.clock().toISOString()
    await world.store.create(
      'replicationServer',
      { id },
      { replicationServerId: id, createdAt, state: 'LAUNCHING' },
    )
    world.areReplicationServersSilent = true
    await world.reconcileAfter(20_000)
    expect(await stateOf(id)).toBeUndefined()
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
