import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { RecordStore } from '../../../store/records.ts'
import type { Bench } from '../../../workers/bench.ts'
import { applyHeartbeat } from '../../../domain/heartbeat.ts'
import { mutate } from '../../../store/mutate.ts'
import { reconcile } from '../../../workers/reconciler.ts'
import { WorkerWorld } from '../../fixtures/worker_world.ts'

let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.make()
  await world.work()
})
afterEach(() => world.close())

/** The agent's reports of a whole copy, as the gateway writes them. */
async function copyAll(): Promise<SourceServer> {
  const beat = async (replicatedBytes: number) => {
    const at = world.bench.clock().toISOString()
    const { value } = await mutate(world.store, 'server', { id: world.serverId }, (server) =>
      applyHeartbeat(
        server,
        {
          generation: server.agent.generation,
          state: replicatedBytes === 0 ? 'INITIAL_SYNC' : 'CONTINUOUS',
          isConnected: true,
          firstByteAt: at,
          lagMs: null,
          sentBytes: replicatedBytes / 2,
          notes: [],
          disks: server.disks.map(({ diskIndex, sizeBytes }) => ({
            diskIndex,
            replicatedBytes,
            rescannedBytes: 0,
            backlogBytes: sizeBytes - replicatedBytes,
            tracker: { kind: 'tracefs', reason: 'The kernel reports every completed write' },
          })),
        },
        at,
      ),
    )
    return value
  }
  await beat(0)
  await world.reconcileAfter(90_000)
  return beat(1024 ** 2)
}

const recorded = async () => (await world.records.list()).records

describe('the recorder', () => {
  it('writes nothing of a server that is not ready', async () => {
    await world.reconcileAfter(0)
    expect(await recorded()).toEqual([])
    expect((await world.server()).initialReplication).toBeUndefined()
  })

  it('writes the record that was made when the server became ready, however late it comes', async () => {
    const ready = await copyAll()
    await mutate(world.store, 'server', { id: world.serverId }, (server) => ({
      ...server,
      replicationConfiguration: { ...server.replicationConfiguration, bandwidthThrottlingMbps: 9 },
    }))
    await world.reconcileAfter(86_400_000)
    const [record] = await recorded()
    expect(ready.initialReplication).toEqual({ state: 'READY', record })
    expect(record).toMatchObject({
      hostname: 'shop',
      initialReplicationDurationMinutes: 1,
      bandwidthThrottlingMbps: 0,
      replicatedStorageBytes: 1024 ** 2,
      wireBytes: 1024 ** 2 / 2,
    })
    expect((await world.server()).initialReplication?.state).toBe('RECORDED')
  })

  it('writes nothing again once it has written', async () => {
    await copyAll()
    await world.reconcileAfter(3000)
    const before = await world.server()
    const written = await recorded()
    const { calls } = world.plan
    await world.reconcileAfter(3000)
    expect((await world.server()).initialReplication).toEqual(before.initialReplication)
    expect(await recorded()).toEqual(written)
    expect(world.plan.calls).toBe(calls)
  })

  it.each([
    ['before', false],
    ['after', true],
  ])('has one record whichever change a worker died %s', async (_when, isAfter) => {
    const leftBehind = new Set<string>()
    for (let call = 1; ; call++) {
      const ready = await copyAll()
      world.plan.arm(call, isAfter)
      await reconcile(world.bench)
      const hasDied = world.plan.calls >= call
      world.plan.revive()
      world.plan.arm(Infinity, false)
      const [early] = await recorded()
      const said = (await world.server()).initialReplication?.state
      leftBehind.add(`${early === undefined ? 'no record' : 'a record'}, ${said}`)
      await world.reconcileAfter(0)
      const [record, ...more] = await recorded()
      expect({ state: 'READY', record }, `dead at change ${call}`).toEqual(ready.initialReplication)
      expect(more).toEqual([])
      if (early !== undefined) expect(record).toEqual(early)
      expect((await world.server()).initialReplication?.state).toBe('RECORDED')
      if (!hasDied) break
      await world.close()
      world = await WorkerWorld.make()
      await world.work()
    }
    expect([...leftBehind].sort()).toEqual(['a record, READY', 'a record, RECORDED', 'no record, READY'])
  })

  it('leaves a record alone that somebody else has written', async () => {
    const ready = await copyAll()
    const other = { ...readyRecord(ready), hostname: 'somebody else' }
    await world.records.add(other)
    await world.reconcileAfter(0)
    expect(await recorded()).toEqual([other])
    expect((await world.server()).initialReplication?.state).toBe('RECORDED')
  })

  it('records a server that was ready before there were records', async () => {
    await copyAll()
    await mutate(
      world.store,
      'server',
      { id: world.serverId },
      ({ initialReplication: _none, ...server }) => server,
    )
    await world.reconcileAfter(0)
    expect(await recorded()).toMatchObject([{ hostname: 'shop', replicatedStorageBytes: 1024 ** 2 }])
  })

  it('holds nothing else up while its table cannot be written to, and writes later', async () => {
    await copyAll()
    const told: string[] = []
    const broken: Bench = {
      ...world.bench,
      records: unwritable,
      log: { ...world.bench.log, error: (_fields, message) => told.push(message) },
    }
    expect((await world.server()).outbox).not.toEqual([])
    await reconcile(broken)
    expect((await world.server()).outbox).toEqual([])
    expect(told).toEqual(['Cannot reconcile: AccessDenied for table records'])
    await world.reconcileAfter(0)
    expect(await recorded()).toHaveLength(1)
  })

  it('writes the record of a server that is deleted before its turn came', async () => {
    await copyAll()
    await world.act('DISCONNECT')
    await world.work()
    await world.act('DELETE')
    await world.work()
    await expect(world.server()).rejects.toThrow('gone')
    expect(await recorded()).toMatchObject([{ sourceServerId: world.serverId, hostname: 'shop' }])
  })

  it('keeps no server from being deleted, and says what it could not write', async () => {
    await copyAll()
    await world.act('DISCONNECT')
    await world.work()
    await world.act('DELETE')
    const told: Record<string, unknown>[] = []
    world.bench.records = unwritable
    world.bench.log = { ...world.bench.log, error: (fields) => void told.push(fields) }
    await world.work()
    await expect(world.server()).rejects.toThrow('gone')
    expect(told).toMatchObject([{ sourceServerId: world.serverId, record: { hostname: 'shop' } }])
  })
})

const refuse = () => Promise.reject(new Error('AccessDenied for table records'))
const unwritable: RecordStore = { initialise: refuse, add: refuse, list: refuse, close: refuse }

function readyRecord({ initialReplication }: SourceServer) {
  if (initialReplication?.state !== 'READY') throw new Error('The server is not ready')
  return initialReplication.record
}
