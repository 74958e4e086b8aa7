import { afterEach, describe, expect, it } from 'vitest'
import type { StepContext } from '../../workers/step.ts'
import { steps } from '../../workers/steps.ts'
import { nothing, staged, WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

/** From enrolment to READY_FOR_TEST. */
async function ready(): Promise<void> {
  world = await WorkerWorld.ready()
}

describe('a worker that stood still while others took its launch back', () => {
  it.each(['create-snapshots', 'create-image', 'launch-machine'] as const)(
    'makes nothing any more when it goes on in %s',
    async (name) => {
      await ready()
      world.memoryCloud.guest = () =>
        Promise.resolve({ consoleText: 'Kernel panic - not syncing: no init\n' })
      const step = steps[name]
      let isFirst = true
      world.steps = {
        ...steps,
        [name]: {
          ...step,
          run: async (context: StepContext) => {
            if (!isFirst) return step.run(context)
            isFirst = false
            // Its lease runs out; another worker goes on, sees the panic and takes everything back.
            await world.work()
            expect((await world.server()).lifecycle.state).toBe('READY_FOR_TEST')
            return step.run(context)
          },
        },
      }
      await world.act('START_TEST')
      await world.work()
      expect(await world.resources()).toEqual(staged)
      expect((await world.server()).activeTask).toBeUndefined()
    },
  )
})

describe('a worker that dies', () => {
  it('at any call of a launch that fails leaves nothing of it', { timeout: 300_000 }, async () => {
    const panics = () => Promise.resolve({ consoleText: 'Kernel panic - not syncing: no init found\n' })
    await ready()
    world.memoryCloud.guest = panics
    world.plan.arm(Infinity, false)
    await world.act('START_TEST')
    await world.work()
    const total = world.plan.calls
    await world.close()
    expect(total).toBeGreaterThan(30)
    for (let call = 1; call <= total; call++) {
      await ready()
      world.memoryCloud.guest = panics
      world.plan.arm(call, call % 2 === 0)
      await world.act('START_TEST')
      const crashes = await world.work()
      const server = await world.server()
      expect({ call, crashes, state: server.lifecycle.state, resources: await world.resources() }).toEqual({
        call,
        crashes: 1,
        state: 'READY_FOR_TEST',
        resources: staged,
      })
      await world.close()
    }
  })

  it('at any call of an end leaves no resource and no record', { timeout: 300_000 }, async () => {
    async function launchedOnce(): Promise<void> {
      await ready()
      await world.act('START_TEST')
      await world.work()
    }
    async function endAll(): Promise<number> {
      await world.act('DISCONNECT')
      const crashes = await world.work()
      await world.act('DELETE')
      return crashes + (await world.work())
    }
    await launchedOnce()
    world.plan.arm(Infinity, false)
    await endAll()
    const total = world.plan.calls
    await world.close()
    expect(total).toBeGreaterThan(25)
    for (let call = 1; call <= total; call++) {
      for (const isAfter of [false, true]) {
        await launchedOnce()
        world.plan.arm(call, isAfter)
        const crashes = await endAll()
        await world.startAgain()
        const tasks = (await world.store.list('task')).items.map(({ value }) => value.kind)
        const found = {
          call,
          isAfter,
          crashes,
          server: await world.store.get('server', { id: world.serverId }),
          tasks,
          replicationServers: (await world.store.list('replicationServer')).items,
          resources: await world.resources(),
        }
        expect(found).toEqual({
          call,
          isAfter,
          crashes: 1,
          server: undefined,
          tasks: ['LAUNCH'],
          replicationServers: [],
          resources: nothing,
        })
        await world.close()
      }
    }
  })
})
