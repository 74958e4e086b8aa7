import { afterEach, describe, expect, it } from 'vitest'
import { PermanentError } from '../../domain/errors.ts'
import { WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

/** From enrolment to READY_FOR_TEST. */
async function ready(): Promise<void> {
  world = await WorkerWorld.make()
  await world.work()
  await world.makeReady()
}

async function jobOf(jobId: string | undefined) {
  const job = await world.store.get('job', { id: String(jobId) })
  const log = await world.store.list('jobLog', { parent: String(jobId) })
  return { job: job?.value, events: log.items.map(({ value }) => value.event) }
}

describe('staging', () => {
  it('raises a replication server and volumes and pairs them with the agent', async () => {
    world = await WorkerWorld.make()
    await world.work()
    const server = await world.server()
    expect(server.activeTask).toBeUndefined()
    expect(server.replication.state).toBe('INITIATING')
    expect(server.agent.desired).toBe('REPLICATE')
    expect(server.disks[0]?.volumeId).toMatch(/^vol-/)
    expect(server.disks[0]?.devicePath).toContain('.raw')
    expect(await world.resources()).toEqual({
      replicationServer: 1,
      volume: 1,
      snapshot: 0,
      image: 0,
      machine: 0,
    })
    const status = Object.fromEntries(
      server.replication.initiation.steps.map(({ name, status }) => [name, status]),
    )
    expect(status).toMatchObject({
      CREATE_SECURITY_GROUP: 'SKIPPED',
      LAUNCH_REPLICATION_SERVER: 'SUCCEEDED',
      AUTHENTICATE_WITH_SERVICE: 'SUCCEEDED',
      DOWNLOAD_REPLICATION_SOFTWARE: 'SKIPPED',
      ATTACH_STAGING_DISKS: 'SUCCEEDED',
      PAIR_REPLICATION_SERVER_WITH_AGENT: 'SUCCEEDED',
      CONNECT_AGENT_TO_REPLICATION_SERVER: 'NOT_STARTED',
    })
  })
})

describe('a migration', () => {
  it('goes through test and cutover to finalized with nothing left but the cutover machine', async () => {
    await ready()
    const asked = await world.act('START_TEST')
    expect(asked.lifecycle.state).toBe('TESTING')
    await world.work()
    const tested = await world.server()
    expect(tested.launchedInstance).toMatchObject({
      purpose: 'TEST',
      firstBoot: 'SUCCEEDED',
      jobId: asked.activeTask?.jobId,
    })
    expect(await jobOf(asked.activeTask?.jobId)).toMatchObject({
      job: { status: 'COMPLETED', participatingServers: [{ launchStatus: 'LAUNCHED' }] },
      events: [
        'JOB_START',
        'SNAPSHOT_START',
        'SNAPSHOT_END',
        'CONVERSION_START',
        'CONVERSION_END',
        'LAUNCH_START',
        'JOB_END',
      ],
    })
    await world.act('MARK_READY_FOR_CUTOVER')
    await world.act('START_CUTOVER')
    await world.work()
    expect((await world.server()).launchedInstance?.purpose).toBe('CUTOVER')
    expect(await world.resources()).toEqual({
      replicationServer: 1,
      volume: 1,
      snapshot: 1,
      image: 1,
      machine: 1,
    })
    await world.act('FINALIZE')
    await world.work()
    const final = await world.server()
    expect(final.lifecycle.state).toBe('CUTOVER')
    expect(final.replication.state).toBe('DISCONNECTED')
    expect(await world.resources()).toEqual({
      replicationServer: 0,
      volume: 0,
      snapshot: 0,
      image: 0,
      machine: 1,
    })
  })

  it('undoes a launch whose conversion has a verdict, and says the verdict', async () => {
    await ready()
    world.bench.convert = () => Promise.reject(new PermanentError('Found no operating system'))
    const asked = await world.act('START_TEST')
    await world.work()
    const server = await world.server()
    expect(server.lifecycle.state).toBe('READY_FOR_TEST')
    expect(server.launchedInstance).toBeUndefined()
    expect(await world.resources()).toEqual({
      replicationServer: 1,
      volume: 1,
      snapshot: 0,
      image: 0,
      machine: 0,
    })
    const { job, events } = await jobOf(asked.activeTask?.jobId)
    expect(job?.participatingServers[0]).toMatchObject({
      launchStatus: 'FAILED',
      failure: 'Found no operating system',
    })
    expect(events).toContain('CONVERSION_FAIL')
    expect(server.outbox.at(-1)?.message ?? '').toMatch(/READY_FOR_TEST|no operating system/)
  })

  it('gives up a launch whose step keeps failing, after trying again', async () => {
    await ready()
    let tries = 0
    world.bench.convert = () => {
      tries++
      return Promise.reject(new Error('No room for the appliance'))
    }
    await world.act('START_TEST')
    await world.work()
    expect(tries).toBe(8)
    expect((await world.server()).lifecycle.state).toBe('READY_FOR_TEST')
    expect(await world.resources()).toMatchObject({ snapshot: 0, image: 0, machine: 0 })
  })

  it('fails a launch when the machine panics, with its last words', async () => {
    await ready()
    world.memoryCloud.guest = () =>
      Promise.resolve({ consoleText: 'booting\nKernel panic - not syncing: VFS: Unable to mount root fs\n' })
    const asked = await world.act('START_TEST')
    await world.work()
    const { job } = await jobOf(asked.activeTask?.jobId)
    expect(job?.participatingServers[0]?.failure).toMatch(
      /The kernel found no root file system.*Unable to mount root fs/,
    )
    expect(await world.resources()).toMatchObject({ machine: 0, image: 0, snapshot: 0 })
  })
})

/** Each changing call of store and cloud in a whole migration is a point to die at, before its effect and after it. */
describe('a worker that dies', () => {
  async function migrate(): Promise<number> {
    let crashes = await world.work()
    await world.makeReady()
    await world.act('START_TEST')
    crashes += await world.work()
    await world.act('MARK_READY_FOR_CUTOVER')
    await world.act('START_CUTOVER')
    crashes += await world.work()
    await world.act('FINALIZE')
    crashes += await world.work()
    return crashes
  }

  it(
    'at any call leaves a migration that ends in the same state with nothing left over',
    { timeout: 300_000 },
    async () => {
      world = await WorkerWorld.make()
      await migrate()
      const total = world.plan.calls
      expect(total).toBeGreaterThan(80)
      await world.close()
      for (let call = 1; call <= total; call++) {
        for (const isAfter of [false, true]) {
          world = await WorkerWorld.make()
          world.plan.arm(call, isAfter)
          const crashes = await migrate()
          const server = await world.server()
          expect({
            call,
            isAfter,
            crashes,
            lifecycle: server.lifecycle.state,
            replication: server.replication.state,
            purpose: server.launchedInstance?.purpose,
            resources: await world.resources(),
          }).toEqual({
            call,
            isAfter,
            crashes: 1,
            lifecycle: 'CUTOVER',
            replication: 'DISCONNECTED',
            purpose: 'CUTOVER',
            resources: { replicationServer: 0, volume: 0, snapshot: 0, image: 0, machine: 1 },
          })
          await world.close()
        }
      }
    },
  )
})
