import { rm, truncate } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ReplicationServerId, VolumeId } from '../../../domain/ids.ts'
import { PermanentError } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'
import { withStaging } from '../../../domain/staging.ts'
import { mutate } from '../../../store/mutate.ts'
import { steps } from '../../../workers/steps.ts'
import { watchVolumes } from '../../../workers/volume_watch.ts'
import { failingAt } from '../../fixtures/step_lists.ts'
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

describe('a volume', () => {
  async function device(): Promise<{ volumeId: string; devicePath: string }> {
    const [disk] = (await world.server()).disks
    return { volumeId: String(disk?.volumeId), devicePath: String(disk?.devicePath) }
  }

  it.each([
    ['removed', (file: string) => rm(file), /is damaged, its file \S+ is missing/],
    [
      'cut',
      (file: string) => truncate(file, 512),
      /is damaged, its file \S+ has 512 bytes instead of 1048576/,
    ],
  ])('that was %s is replaced, the disk is copied again, and that is said', async (_how, hurt, found) => {
    const before = await device()
    await hurt(before.devicePath)
    await watchVolumes(world.bench)
    const server = await world.server()
    expect(server.replication.state).toBe('STALLED')
    expect(server.replication.error).toMatchObject({ error: 'FAILED_TO_ATTACH_STAGING_DISKS' })
    expect(server.replication.error?.rawError).toMatch(found)
    expect(server.replication.error?.whatToDo).toMatch(/makes a new volume and copies the disk again/)
    expect(server.replication.lastConsistentAt).toBeUndefined()
    expect(server.activeTask?.kind).toBe('STAGING')
    await world.work()
    const after = await device()
    expect(after.volumeId).not.toBe(before.volumeId)
    const healed = await world.server()
    expect(healed.replication).toMatchObject({
      state: 'INITIATING',
      replicationServerId: await replicationServerId(),
    })
    expect(healed.replication.error).toBeUndefined()
    expect(healed.lifecycle.state).toBe('READY_FOR_TEST')
    expect(await world.resources()).toMatchObject({ volume: 1, replicationServer: 1 })
    await world.reconcileAfter(0)
    expect(
      (await events()).filter((message) => message.startsWith('The copy of disk /dev/vda is lost')),
    ).toHaveLength(1)
    await watchVolumes(world.bench)
    expect((await world.server()).activeTask).toBeUndefined()
  })

  it('that the cloud no longer knows is replaced together with a replication server that has vanished', async () => {
    const before = await device()
    const id = await replicationServerId()
    world.areReplicationServersSilent = true
    await world.cloud.deleteVolume(before.volumeId as VolumeId)
    world.memoryCloud.loseReplicationServer(id)
    await watchVolumes(world.bench)
    world.areReplicationServersSilent = false
    await world.work()
    expect((await device()).volumeId).not.toBe(before.volumeId)
    expect(await world.resources()).toMatchObject({ volume: 1, replicationServer: 1 })
    await world.reconcileAfter(20_000)
    expect((await world.store.list('replicationServer')).items).toHaveLength(1)
  })

  it('that is lost when a launch needs it fails the launch with what happens, and is replaced after it', async () => {
    const before = await device()
    await rm(before.devicePath)
    const asked = await world.act('START_TEST')
    await watchVolumes(world.bench)
    expect((await world.server()).activeTask?.kind).toBe('LAUNCH')
    await world.work()
    const job = (await world.store.get('job', { id: String(asked.activeTask?.jobId) }))?.value
    expect(job?.participatingServers[0]?.failure).toMatch(
      /^The copy of disk \/dev\/vda is lost: volume vol-\w+ is damaged, its file \S+ is missing. Rehost copies the disk again; launch again when that is done$/,
    )
    expect((await world.server()).lifecycle.state).toBe('READY_FOR_TEST')
    expect((await world.server()).consistencyRequest?.state).not.toBe('REACHED')
    await watchVolumes(world.bench)
    await world.work()
    expect((await device()).volumeId).not.toBe(before.volumeId)
  })

  it('that is kept stays when its staging area cannot be raised again', async () => {
    const before = await device()
    await mutate(world.store, 'server', { id: world.serverId }, (server) =>
      withStaging(server, world.bench.clock().toISOString()),
    )
    world.steps = {
      ...steps,
      'pair-with-agent': {
        ...steps['pair-with-agent'],
        run: () => Promise.reject(new PermanentError('Not now')),
      },
    }
    await world.work()
    expect((await world.server()).disks[0]).toMatchObject({ volumeId: before.volumeId })
    expect((await world.server()).disks[0]?.devicePath).toBeUndefined()
    world.steps = steps
    await world.reconcileAfter(61_000)
    await world.work()
    expect(await device()).toEqual(before)
  })

  it.each(['wait-for-replication-server', 'attach-volumes', 'pair-with-agent'] as const)(
    'that is kept goes to another replication server after an attempt that failed in %s',
    async (name) => {
      const before = await device()
      const first = await replicationServerId()
      const at = world.bench.clock().toISOString()
      const other = newId('sourceServer')
      // Another server keeps the first one in use, and this one is to have its own from now on.
      await world.store.create('server', { id: other }, { ...(await world.server()), sourceServerId: other })
      await mutate(world.store, 'server', { id: world.serverId }, (server) => {
        const { replicationConfiguration } = server
        const dedicated = { ...replicationConfiguration, useDedicatedReplicationServer: true }
        return withStaging({ ...server, replicationConfiguration: dedicated }, at)
      })
      world.steps = failingAt(name, new PermanentError('Not now'))
      await world.work()
      expect((await world.server()).replication.replicationServerId).toBeUndefined()
      expect(world.memoryCloud.volumes.get(before.volumeId as VolumeId)?.attachedTo).toBeUndefined()
      world.steps = steps
      await world.reconcileAfter(61_000)
      await world.work()
      const second = await replicationServerId()
      expect(second).not.toBe(first)
      expect(await device()).toEqual(before)
      expect(world.memoryCloud.volumes.get(before.volumeId as VolumeId)?.attachedTo).toBe(second)
      expect((await world.server()).replication).toMatchObject({ state: 'INITIATING' })
    },
  )
})
