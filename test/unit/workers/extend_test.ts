import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withSourceDisks } from '../../../domain/disk_changes.ts'
import type { SourceDisk, SourceServer } from '../../../domain/source_server.ts'
import { mutate } from '../../../store/mutate.ts'
import { staged, WorkerWorld } from '../../fixtures/worker_world.ts'

let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.ready()
})
afterEach(() => world.close())

const added: SourceDisk = {
  deviceName: '/dev/added',
  sizeBytes: 3 * 2 ** 20,
  stableId: 'added',
  isBootDisk: false,
}

async function change(to: (server: SourceServer) => SourceServer): Promise<void> {
  await mutate(world.store, 'server', { id: world.serverId }, to)
}

/** The agent sees these disks; new ones are taken. */
async function see(of: (disks: SourceDisk[]) => SourceDisk[]): Promise<void> {
  await change((server) => {
    const policy = { ...server.replicationConfiguration, newDisks: 'TAKE' as const }
    const disks = of(server.sourceProperties.disks)
    return withSourceDisks({ ...server, replicationConfiguration: policy }, disks, '2026-01-01T01:00:00.000Z')
  })
}

const first = async () => (await world.server()).disks[0]

describe('extending the staging area', () => {
  it('gives a disk that joins its volume, and leaves the others alone', async () => {
    const before = await first()
    const { replication } = await world.server()
    await see((disks) => [...disks, added])
    await world.reconcileAfter(0)
    expect((await world.server()).activeTask?.kind).toBe('EXTEND')
    await world.work()
    const server = await world.server()
    expect(server.disks[0]).toEqual(before)
    expect(server.disks[1]).toMatchObject({ deviceName: '/dev/added', sizeBytes: 3 * 2 ** 20 })
    expect(server.disks[1]?.devicePath).toBeDefined()
    expect(server.disks[1]?.isJoining).toBeUndefined()
    expect(server.replication.replicationServerId).toBe(replication.replicationServerId)
    expect(server.replication.state).toBe(replication.state)
    expect(await world.resources()).toEqual({ ...staged, volume: 2 })
  })

  it('enlarges the volume of a disk that has grown', async () => {
    const before = await first()
    await see((disks) => disks.map((disk) => ({ ...disk, sizeBytes: disk.sizeBytes + 512 })))
    await world.reconcileAfter(0)
    await world.work()
    const after = await first()
    expect(after).toEqual({ ...before, sizeBytes: (before?.sizeBytes ?? 0) + 512 })
    expect(await world.resources()).toEqual(staged)
  })

  it('makes no second volume whenever a worker dies', async () => {
    for (let point = 2; point < 24; point++) {
      await world.close()
      world = await WorkerWorld.ready()
      await see((disks) => [...disks.map((disk) => ({ ...disk, sizeBytes: 2 * disk.sizeBytes })), added])
      await world.reconcileAfter(0)
      world.plan.arm(Math.floor(point / 2), point % 2 === 1)
      await world.work()
      expect(await world.resources()).toEqual({ ...staged, volume: 2 })
      const { disks } = await world.server()
      expect(disks.map(({ isJoining, wantedSizeBytes }) => [isJoining, wantedSizeBytes])).toEqual([
        [undefined, undefined],
        [undefined, undefined],
      ])
    }
  })

  it('says what stands in the way and goes on when it is gone; nothing else stops', async () => {
    const real = world.cloud
    world.bench.cloud = new Proxy(real, {
      get: (target, property) =>
        property === 'growVolume'
          ? () => Promise.reject(new Error('no space is left'))
          : (Reflect.get(target, property) as unknown),
    })
    await see((disks) => disks.map((disk) => ({ ...disk, sizeBytes: disk.sizeBytes + 512 })))
    await world.reconcileAfter(0)
    await world.work()
    const failed = await world.server()
    expect(failed.replication.state).toBe('CONTINUOUS')
    expect(failed.disks[0]?.extension?.failure).toBe('no space is left')
    await world.reconcileAfter(1000)
    expect((await world.server()).activeTask).toBeUndefined()
    world.bench.cloud = real
    await world.reconcileAfter(120_000)
    await world.work()
    expect((await first())?.extension).toBeUndefined()
    expect((await first())?.wantedSizeBytes).toBeUndefined()
  })
})
