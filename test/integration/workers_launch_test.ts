import { afterEach, describe, expect, it } from 'vitest'
import { PermanentError } from '../../domain/errors.ts'
import { failingAt } from '../fixtures/step_lists.ts'
import { launched, staged, WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

/** From enrolment to READY_FOR_TEST. */
async function ready(): Promise<void> {
  world = await WorkerWorld.ready()
}

describe('a launch', () => {
  it('fails with a clear reason when the agent is not connected', async () => {
    await ready()
    await world.act('START_TEST')
    world.silenceAgent()
    await world.work()
    const server = await world.server()
    expect(server.lifecycle.state).toBe('READY_FOR_TEST')
    const failure = server.outbox.findLast(({ type }) => type === 'LAUNCH')?.message
    expect(failure).toMatch(/The agent on shop is not connected.*last seen at 20/)
  })

  it('asks for a consistency point three times, then gives up', async () => {
    await ready()
    world.refusesConsistencyPoints = true
    await world.act('START_TEST')
    await world.work()
    const server = await world.server()
    expect(server.lifecycle.state).toBe('READY_FOR_TEST')
    const asked = server.outbox.filter(({ message }) => message.endsWith('asked for'))
    expect(asked).toHaveLength(3)
    expect(new Set(asked.map(({ detail }) => detail['consistencyPointId'])).size).toBe(3)
    expect(server.outbox.findLast(({ type }) => type === 'LAUNCH')?.message).toMatch(
      /No consistent snapshot in 3 attempts/,
    )
    expect(await world.resources()).toEqual(staged)
  })

  it('asks for another consistency point when one was let go while its snapshots were taken', async () => {
    await ready()
    let letGo = 0
    const createSnapshot = world.cloud.createSnapshot.bind(world.cloud)
    world.bench.cloud = new Proxy(world.cloud, {
      get: (target, property) =>
        property === 'createSnapshot'
          ? async (spec: Parameters<typeof createSnapshot>[0]) => {
              const made = await createSnapshot(spec)
              if (letGo++ === 0) await world.letGo()
              return made
            }
          : (Reflect.get(target, property) as unknown),
    })
    await world.act('START_TEST')
    await world.work()
    expect(letGo).toBe(2)
    expect((await world.server()).consistencyRequest?.state).toBe('TAKEN')
    expect(await world.resources()).toEqual(launched)
  })

  it('from READY_FOR_CUTOVER that fails leads back there', async () => {
    await ready()
    await world.act('START_TEST')
    await world.work()
    await world.act('MARK_READY_FOR_CUTOVER')
    world.steps = failingAt('convert', new PermanentError('No'))
    await world.act('START_TEST')
    await world.work()
    expect((await world.server()).lifecycle.state).toBe('READY_FOR_CUTOVER')
  })

  it('waits for what must answer, and fails at its time limit with what was missing', async () => {
    await ready()
    await world.configure((launch) => ({
      ...launch,
      bootTimeoutSeconds: 30,
      httpChecks: [{ port: 80, path: '/', contains: 'shop' }],
    }))
    const asked = await world.act('START_TEST')
    await world.work()
    const job = (await world.store.get('job', { id: String(asked.activeTask?.jobId) }))?.value
    expect(job?.participatingServers[0]?.failure).toMatch(/after 30 s: port 80\/ does not answer/)
    expect(await world.resources()).toEqual(staged)
  })
})
