import { stat } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { MachineId } from '../../domain/ids.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import { decideAction } from '../../domain/actions.ts'
import { enrolAgain } from '../../domain/agent_contact.ts'
import { newAwaitedServer } from '../../domain/awaited_server.ts'
import { readFeed } from '../../store/event_feed.ts'
import { mutate } from '../../store/mutate.ts'
import { noteAwaitedName } from '../../store/awaited_names.ts'
import { noteMachine, serversOfMachine } from '../../store/known_machines.ts'
import { claimOwnId } from '../../store/own_ids.ts'
import { launched, nothing, staged, WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

/** From enrolment to READY_FOR_TEST. */
async function ready(): Promise<void> {
  world = await WorkerWorld.ready()
}

/** A world whose cutover machine is launched; answers the machine. */
async function cutOver(): Promise<MachineId> {
  await ready()
  await world.act('START_TEST')
  await world.work()
  await world.act('MARK_READY_FOR_CUTOVER')
  await world.act('START_CUTOVER')
  await world.work()
  const machineId = (await world.server()).launchedInstance?.machineId
  if (machineId === undefined) throw new Error('No machine was launched')
  return machineId
}

describe('ends', () => {
  it('TERMINATE takes machine, image and snapshots and marks the launching job', async () => {
    await ready()
    const asked = await world.act('START_TEST')
    await world.work()
    const reverted = await world.act('REVERT_TO_READY_FOR_TEST')
    await world.work()
    const server = await world.server()
    expect(server.lifecycle.state).toBe('READY_FOR_TEST')
    expect(server.launchedInstance).toBeUndefined()
    expect(await world.resources()).toEqual(staged)
    for (const id of [asked.activeTask?.jobId, reverted.activeTask?.jobId]) {
      const job = (await world.store.get('job', { id: String(id) }))?.value
      expect(job).toMatchObject({
        status: 'COMPLETED',
        participatingServers: [{ launchStatus: 'TERMINATED' }],
      })
    }
  })

  it('DISCONNECT takes all but the launched machine, which can be terminated then', async () => {
    await ready()
    await world.act('START_TEST')
    await world.work()
    await world.act('DISCONNECT')
    await world.work()
    const server = await world.server()
    expect(server.lifecycle.state).toBe('DISCONNECTED')
    expect(server.launchedInstance?.purpose).toBe('TEST')
    expect(server.replication.replicationServerId).toBeUndefined()
    // What the machine was made of stays known.
    expect(server.consistencyRequest).toMatchObject({ state: 'TAKEN', method: 'FROZEN' })
    expect(await world.resources()).toEqual({ ...nothing, machine: 1 })
    await world.act('TERMINATE')
    await world.work()
    expect((await world.server()).launchedInstance).toBeUndefined()
    expect(await world.resources()).toEqual(nothing)
  })

  it('a machine that stayed is not touched when its server is added again, tested, and deleted', async () => {
    const machineId = await cutOver()
    await world.act('DISCONNECT')
    await world.work()
    await mutate(world.store, 'server', { id: world.serverId }, (server) =>
      enrolAgain(server, {
        at: world.bench.clock().toISOString(),
        sourceProperties: server.sourceProperties,
        disks: server.disks,
        agent: { version: '9', certificateSerial: '9', certificateNotAfter: '2027-01-01T00:00:00Z' },
      }),
    )
    const again = await world.server()
    expect(again.launchedInstance).toBeUndefined()
    expect(again.outbox.find(({ message }) => message.startsWith(`Machine ${machineId}`))?.message).toMatch(
      /stays as it is, and Rehost no longer manages it$/,
    )
    await world.work()
    await world.makeReady()
    await world.act('START_TEST')
    await world.work()
    expect((await world.server()).launchedInstance?.purpose).toBe('TEST')
    expect(await world.resources()).toEqual({ ...launched, machine: 2 })
    await world.act('REVERT_TO_READY_FOR_TEST')
    await world.work()
    await world.act('DISCONNECT')
    await world.work()
    await world.act('DELETE')
    await world.work()
    expect((await world.cloud.listResources()).map(({ kind, id }) => [kind, id])).toEqual([
      ['machine', machineId],
    ])
    const [disk] = world.memoryCloud.machines.get(machineId)?.diskPaths ?? []
    expect((await stat(String(disk))).size).toBe(1_048_576)
  })

  it('DELETE of a disconnected server takes its test machine, which nobody would find any more', async () => {
    await ready()
    const { store } = world
    const { value } = await mutate(store, 'server', { id: world.serverId }, (server) => {
      const identificationHints = { hostname: 'web-1', fqdn: 'web-1', machineId: 'm-1' }
      return { ...server, sourceProperties: { ...server.sourceProperties, identificationHints } }
    })
    await noteMachine(store, value.sourceProperties, world.serverId)
    expect((await serversOfMachine(store, value.sourceProperties)).length).toBe(1)
    await world.act('START_TEST')
    await world.work()
    await world.act('DISCONNECT')
    await world.work()
    await world.act('DELETE')
    await world.work()
    expect(await world.resources()).toEqual(nothing)
    expect((await store.list('knownMachine')).items).toEqual([])
  })

  it.each([[['DELETE']], [['ARCHIVE', 'DELETE']]] as const)(
    '%j of a server whose agent never came waits for none, and frees its id',
    async (actions) => {
      world = await WorkerWorld.make()
      const { store } = world
      const found = await store.get('server', { id: world.serverId })
      const at = world.bench.clock().toISOString()
      const fqdn = 'web-1.example.test'
      const wanted = { sourceServerId: world.serverId, at, userProvidedId: 'shop-1', actor: 'admin', fqdn }
      await store.replace('server', { id: world.serverId }, found?.revision ?? 0, newAwaitedServer(wanted))
      await claimOwnId(store, 'shop-1', world.serverId, new Date(at))
      await noteAwaitedName(store, fqdn, world.serverId)
      const began = world.bench.clock().getTime()
      for (const action of actions) {
        await world.act(action)
        await world.work()
      }
      expect(await store.get('server', { id: world.serverId })).toBeUndefined()
      expect((await store.list('ownId')).items).toEqual([])
      expect((await store.list('awaitedName')).items).toEqual([])
      expect(world.bench.clock().getTime() - began).toBeLessThan(30_000)
      expect(await world.resources()).toEqual(nothing)
    },
  )

  it('FINALIZE of a cutover machine that was taken away changes nothing, says so, and the cutover is launched again', async () => {
    const machineId = await cutOver()
    await world.cloud.terminateMachine(machineId)
    const before = await world.resources()
    await world.act('FINALIZE')
    await world.work()
    const server = await world.server()
    expect(server.activeTask).toBeUndefined()
    expect(server).toMatchObject({
      lifecycle: { state: 'CUTTING_OVER' },
      replication: { state: 'CREATING_SNAPSHOT' },
      agent: { desired: 'REPLICATE' },
    })
    expect(server.outbox.at(-1)).toMatchObject({ level: 'ERROR', type: 'JOB' })
    expect(server.outbox.at(-1)?.message).toMatch(
      new RegExp(`not finalized: Machine ${machineId} has vanished.*launch the cutover machine again`),
    )
    expect(await world.resources()).toEqual(before)
    expect(before).toEqual({ ...launched, machine: 0 })

    await world.act('START_CUTOVER')
    await world.work()
    expect(await world.resources()).toEqual(launched)
    await world.act('FINALIZE')
    await world.work()
    expect((await world.server()).lifecycle.state).toBe('CUTOVER')
    expect(await world.resources()).toEqual({ ...nothing, machine: 1 })
  })

  it('FINALIZE tells the agent to go only when the machine stands alone, and gives up when it cannot', async () => {
    await cutOver()
    let tries = 0
    world.bench.cloud = new Proxy(world.cloud, {
      get: (target, property) =>
        property === 'detachMachineFromImage'
          ? async () => {
              tries++
              expect((await world.server()).agent.desired).toBe('REPLICATE')
              throw new Error('No room')
            }
          : (Reflect.get(target, property) as unknown),
    })
    await world.act('FINALIZE')
    await world.work()
    expect(tries).toBe(8)
    const server = await world.server()
    expect(server).toMatchObject({
      lifecycle: { state: 'CUTTING_OVER' },
      agent: { desired: 'REPLICATE' },
    })
    expect(server.lifecycle.lastCutover?.finalized).toBeUndefined()
    expect(server.outbox.at(-1)?.message).toBe('The cutover is not finalized: No room')
    expect(await world.resources()).toEqual(launched)
    world.bench.cloud = world.cloud
    const { activeTask } = await world.act('FINALIZE')
    await world.work()
    expect((await world.server()).lifecycle).toMatchObject({
      state: 'CUTOVER',
      lastCutover: { finalized: { apiCallAt: activeTask?.startedAt } },
    })
  })

  it('DISCONNECT goes on when the launched machine was taken away behind its back, and says so', async () => {
    const machineId = await cutOver()
    await world.cloud.terminateMachine(machineId)
    await world.act('DISCONNECT')
    await world.work()
    const server = await world.server()
    expect(server.activeTask).toBeUndefined()
    expect(server.launchedInstance).toBeUndefined()
    expect(server.outbox.find(({ message }) => message.includes('has vanished'))).toMatchObject({
      level: 'ERROR',
      type: 'LAUNCH',
    })
    expect(await world.resources()).toEqual(nothing)
  })

  it('goes on without an agent that never says that it is uninstalled, with a warning', async () => {
    await ready()
    world.silenceAgent()
    await world.act('DISCONNECT')
    await world.work()
    const server = await world.server()
    expect(server.activeTask).toBeUndefined()
    expect(
      server.outbox
        .filter(({ level, type }) => level === 'WARNING' && type === 'AGENT')
        .map(({ message }) => message),
    ).toEqual([expect.stringMatching(/did not say that it uninstalled itself.*on shop/)])
    expect(await world.resources()).toEqual(nothing)
  })

  it('waits for such an agent once, and does not say that it does while what comes after fails', async () => {
    await ready()
    world.silenceAgent()
    const asked = await world.act('DISCONNECT')
    const because = (server: SourceServer): string => {
      const decision = decideAction(server, 'DELETE')
      return decision.possible ? 'possible' : decision.because
    }
    expect(because(asked)).toContain(', waiting up to 60 s for its agent')
    const said: string[] = []
    world.bench.cloud = new Proxy(world.cloud, {
      get: (target, property) =>
        property === 'listResources' && said.length < 12
          ? async () => {
              said.push(because(await world.server()))
              throw new Error('The cloud is away')
            }
          : (Reflect.get(target, property) as unknown),
    })
    await world.work()
    expect(said).toHaveLength(12)
    for (const words of said) expect(words).toMatch(/^Wait: the server is being disconnected since [^ ]+Z$/)
    const server = await world.server()
    expect(server.activeTask).toBeUndefined()
    expect(server.outbox.filter(({ message }) => message.includes('did not say that'))).toHaveLength(1)
  })

  it('DELETE removes the records and spares the cutover machine', async () => {
    await ready()
    await world.act('START_TEST')
    await world.work()
    await world.act('MARK_READY_FOR_CUTOVER')
    await world.act('START_CUTOVER')
    await world.work()
    await world.act('FINALIZE')
    await world.work()
    await world.act('DELETE')
    await world.work()
    expect(await world.store.get('server', { id: world.serverId })).toBeUndefined()
    // Told to the last one, for whoever reads the stream of all servers later.
    const { items } = await world.store.list('serverEvent', { parent: world.serverId, limit: 1000 })
    const { events } = await readFeed(world.store, 0, 1000)
    expect(items.map(({ value }) => value.sequence)).toEqual(items.map((_, index) => index + 1))
    expect(events.map(({ event }) => event.sequence)).toEqual(items.map(({ value }) => value.sequence))
    expect(items.at(-1)?.value.message).toBe('Asked to delete this server')
    expect((await world.store.list('task')).items.map(({ value }) => value.kind)).toEqual([
      'LAUNCH',
      'LAUNCH',
    ])
    expect((await world.store.list('job')).items).toHaveLength(2)
    expect(await world.resources()).toEqual({ ...nothing, machine: 1 })
  })
})
