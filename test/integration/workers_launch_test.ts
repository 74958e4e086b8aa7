import { open } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { PermanentError } from '../../domain/errors.ts'
import { mutate } from '../../store/mutate.ts'
import { RevisionConflictError } from '../../store/store.ts'
import type { StepContext, StepResult } from '../../workers/step.ts'
import { steps } from '../../workers/steps.ts'
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

describe('the time that a launch takes', () => {
  it('is kept from its consistency point to the end of its check, of test and cutover apart', async () => {
    await ready()
    const times = async () => {
      const { launchTimes, consistencyRequest } = await world.server()
      return { launchTimes, pointAt: consistencyRequest?.reachedAt }
    }
    const checkedAt = async (taskId: string | undefined) =>
      (await world.store.get('task', { id: String(taskId) }))?.value.steps.find(
        ({ name }) => name === 'check-boot',
      )?.endedAt
    const testing = await world.act('START_TEST')
    expect(testing.launchTimes).toBeUndefined()
    await world.work()
    const afterTest = await times()
    const test = {
      jobId: testing.activeTask?.jobId,
      askedAt: testing.activeTask?.startedAt,
      pointAt: afterTest.pointAt,
      upAt: await checkedAt(testing.activeTask?.taskId),
    }
    expect(afterTest.launchTimes).toEqual({ test })
    expect(Date.parse(test.upAt ?? '')).toBeGreaterThanOrEqual(Date.parse(test.pointAt ?? ''))
    await world.act('MARK_READY_FOR_CUTOVER')
    const cutting = await world.act('START_CUTOVER')
    // What its own test took.
    const forecast = cutting.launchTimes?.forecast
    expect(forecast?.jobId).toBe(cutting.activeTask?.jobId)
    await world.work()
    const { launchTimes, pointAt } = await times()
    expect(launchTimes).toEqual({
      test,
      forecast,
      cutover: {
        jobId: cutting.activeTask?.jobId,
        askedAt: cutting.activeTask?.startedAt,
        pointAt,
        upAt: await checkedAt(cutting.activeTask?.taskId),
      },
    })
    expect(pointAt).not.toBe(afterTest.pointAt)
  })
})

describe('the snapshots of a launch', () => {
  /** Writes four letters to the beginning of the volume, as the replicator does. */
  async function replicate(text: string): Promise<void> {
    const [disk] = (await world.server()).disks
    const volume = await open(String(disk?.devicePath), 'r+')
    await volume.write(text, 0)
    await volume.close()
  }

  /** What the launched machine found there. */
  async function launchedWith(): Promise<string> {
    const [machine] = world.memoryCloud.machines.values()
    const disk = await open(String(machine?.diskPaths[0]))
    const { buffer } = await disk.read(Buffer.alloc(4), 0, 4, 0)
    await disk.close()
    return buffer.toString()
  }

  async function pointsAsked(): Promise<number> {
    return (await world.server()).outbox.filter(({ message }) => message.endsWith('asked for')).length
  }

  /** Lets `before` come between the beginning of the first run of create-snapshots and its work. */
  function atFirst(before: (context: StepContext) => Promise<unknown>): void {
    let isFirst = true
    const run = async (context: StepContext): Promise<StepResult> => {
      if (isFirst) await before(context)
      isFirst = false
      return steps['create-snapshots'].run(context)
    }
    world.steps = { ...steps, 'create-snapshots': { ...steps['create-snapshots'], run } }
  }

  it('are those of the worker that had the task before, if they were taken by then', async () => {
    await ready()
    await replicate('held')
    atFirst(async (context) => {
      await steps['create-snapshots'].run(context)
      await replicate('more')
    })
    await world.act('START_TEST')
    await world.work()
    expect(await launchedWith()).toBe('held')
    expect(await pointsAsked()).toBe(1)
    expect(await world.resources()).toEqual(launched)
  })

  it('stay when the answer to the write that lets the replicator go on is lost', async () => {
    await ready()
    await replicate('held')
    let isLost = false
    const { store } = world
    const replace: typeof store.replace = async (kind, key, revision, value) => {
      const next = await store.replace(kind, key, revision, value)
      if (isLost || (await world.server()).consistencyRequest?.state !== 'TAKEN') return next
      isLost = true
      await replicate('more')
      // A heartbeat comes before the write is sent again, which then finds another revision.
      await world.tick()
      throw new RevisionConflictError('Somebody has written it')
    }
    world.bench.store = new Proxy(store, {
      get: (target, property) =>
        property === 'replace' ? replace : (Reflect.get(target, property) as unknown),
    })
    await world.act('START_TEST')
    await world.work()
    expect(isLost).toBe(true)
    expect(await launchedWith()).toBe('held')
    expect(await pointsAsked()).toBe(1)
    expect(await world.resources()).toEqual(launched)
  })

  it('are never made of a point that is taken: another one is asked for', async () => {
    await ready()
    await replicate('held')
    let asked = 0
    atFirst(async () => {
      await mutate(world.store, 'server', { id: world.serverId }, (server) =>
        server.consistencyRequest === undefined
          ? undefined
          : { ...server, consistencyRequest: { ...server.consistencyRequest, state: 'TAKEN' } },
      )
      await replicate('more')
      asked = await pointsAsked()
    })
    await world.act('START_TEST')
    await world.work()
    expect([asked, await pointsAsked()]).toEqual([1, 2])
    expect(await launchedWith()).toBe('more')
    expect(await world.resources()).toEqual(launched)
  })

  it('are left to the next worker by one that loses the task while it copies', async () => {
    await ready()
    const lost = new AbortController()
    const createSnapshot = world.cloud.createSnapshot.bind(world.cloud)
    world.bench.cloud = new Proxy(world.cloud, {
      get: (target, property) =>
        property === 'createSnapshot'
          ? async (spec: Parameters<typeof createSnapshot>[0]) => {
              const made = await createSnapshot(spec)
              lost.abort(new Error('Another worker has it'))
              return made
            }
          : (Reflect.get(target, property) as unknown),
    })
    atFirst(async (context) => {
      const given = { ...context, signal: lost.signal }
      await expect(steps['create-snapshots'].run(given)).rejects.toThrow('Another worker has it')
      expect((await world.server()).consistencyRequest).toMatchObject({ state: 'REACHED' })
    })
    await world.act('START_TEST')
    await world.work()
    expect((await world.server()).consistencyRequest?.state).toBe('TAKEN')
    expect(await world.resources()).toEqual(launched)
  })
})
