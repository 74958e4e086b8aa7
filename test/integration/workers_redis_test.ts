import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TaskId } from '../../domain/ids.ts'
import { Queue } from 'bullmq'
import { queuePrefix } from '../../queues/names.ts'
import { BullWakeUps } from '../../queues/enqueue.ts'
import type { RedisClient } from '../../queues/redis.ts'
import { bullConnection, createRedisClient } from '../../queues/redis.ts'
import { startLoop } from '../../workers/loop.ts'
import { becomeOwner } from '../../workers/owner.ts'
import { WorkerPool } from '../../workers/pool.ts'
import { reconcile, wakeUnfinished } from '../../workers/reconciler.ts'
import { steps } from '../../workers/steps.ts'
import { TaskRunner } from '../../workers/task_runner.ts'
import { startHolder } from '../fixtures/holder.ts'
import { TestRedis } from '../fixtures/redis.ts'
import { until } from '../fixtures/waiting.ts'
import { WorkerWorld } from '../fixtures/worker_world.ts'

const quiet = (): void => undefined
const silentLog = { info: quiet, warn: quiet, error: quiet }
const launched = { replicationServer: 1, volume: 1, snapshot: 1, image: 1, machine: 1 }

let redis: TestRedis
let client: RedisClient
let wakeUps: BullWakeUps
/** What must end after a test, last begun first. */
let endings: (() => Promise<void>)[]

beforeEach(async () => {
  redis = await TestRedis.start()
  client = createRedisClient(redis.url, quiet)
  await client.connect()
  wakeUps = new BullWakeUps(client, quiet)
  endings = []
})

afterEach(async () => {
  for (const end of endings.toReversed()) await end()
  await wakeUps.close()
  client.destroy()
  await redis.stop()
})

function open(runner: ConstructorParameters<typeof WorkerPool>[1]): WorkerPool {
  const pool = new WorkerPool(client, runner, silentLog)
  endings.push(() => pool.close())
  return pool
}

/** A world whose time is real and whose workers are woken through Redis; agent and replication server live beside it. */
async function liveWorld(): Promise<WorkerWorld> {
  const world = await WorkerWorld.make()
  endings.push(() => world.close())
  world.bench.clock = () => new Date()
  world.bench.wakeUps = wakeUps
  const others = startLoop(50, () => world.tick(), quiet)
  const reconciler = startLoop(500, () => reconcile(world.bench), quiet)
  endings.push(() => others.stop())
  endings.push(() => reconciler.stop())
  return world
}

function openWorker(world: WorkerWorld, name: string): WorkerPool {
  return open(new TaskRunner(world.bench, steps, name))
}

async function untilIdle(world: WorkerWorld): Promise<void> {
  await until('the work is done', async () => (await world.server()).activeTask === undefined, 90_000, 50)
}

/** A live world at READY_FOR_TEST with `workers` workers. */
async function readyWorld(workers: number): Promise<WorkerWorld> {
  const world = await liveWorld()
  for (let number = 1; number <= workers; number++) openWorker(world, `worker-${number}`)
  await untilIdle(world)
  await world.makeReady()
  return world
}

/** The next conversion stops at `during` before it goes on. */
function interruptConversion(world: WorkerWorld, during: (signal: AbortSignal) => Promise<void>): void {
  const convert = world.bench.convert
  world.bench.convert = async (input) => {
    world.bench.convert = convert
    await during(input.signal)
    return convert(input)
  }
}

async function expectLaunched(world: WorkerWorld): Promise<void> {
  const server = await world.server()
  expect(server.launchedInstance).toMatchObject({ purpose: 'TEST', firstBoot: 'SUCCEEDED' })
  expect(await world.resources()).toEqual(launched)
}

describe('workers on Redis', () => {
  it('two of them do each step of a launch once', async () => {
    const world = await readyWorld(2)
    await world.act('START_TEST')
    await untilIdle(world)
    await expectLaunched(world)
    expect(world.conversions).toBe(1)
  })

  it('end in the same state when Redis loses everything in the middle', async () => {
    const world = await readyWorld(2)
    interruptConversion(world, async () => {
      await client.flushAll()
      // Long enough for the reconciler to wake a second worker beside the one that goes on.
      const { activeTask } = await world.server()
      await until('the wake-up is back', () =>
        wakeUps.has('conversion', activeTask?.taskId ?? ('none' as TaskId)),
      )
    })
    await world.act('START_TEST')
    await untilIdle(world)
    await expectLaunched(world)
    expect(world.conversions).toBe(1)
  })

  it('go on when Redis is killed and comes back', async () => {
    const world = await readyWorld(1)
    interruptConversion(world, async () => {
      await redis.kill()
      await sleep(500)
      await redis.begin()
    })
    await world.act('START_TEST')
    await untilIdle(world)
    await expectLaunched(world)
    expect(world.conversions).toBe(1)
  })

  it('take over at once from one that was killed, whatever of its lease and its lock is left', async () => {
    const world = await liveWorld()
    const { fateOf } = await becomeOwner()
    world.bench.isGone = async (owner) => (await fateOf(owner)) === 'GONE'
    const holder = await startHolder('owner_holder.ts')
    endings.push(() => holder.kill())
    // Its steps run in this process, which goes on renewing the lease and the lock: only the death of their owner frees them.
    openWorker(world, holder.said)
    await untilIdle(world)
    await world.makeReady()
    interruptConversion(world, async (signal) => {
      await holder.kill()
      openWorker(world, 'second')
      await wakeUnfinished(world.bench)
      await until('the step has lost its task', async () => signal.aborted, 60_000)
      signal.throwIfAborted()
    })
    await world.act('START_TEST')
    await untilIdle(world)
    await expectLaunched(world)
    expect(world.conversions).toBe(1)
  })

  it('take over from one that is told to stop in the middle of a step', async () => {
    const world = await liveWorld()
    const first = openWorker(world, 'first')
    await untilIdle(world)
    await world.makeReady()
    let closing: Promise<void> | undefined
    interruptConversion(world, async (signal) => {
      closing = first.close()
      openWorker(world, 'second')
      await until('the step is told', async () => signal.aborted)
      signal.throwIfAborted()
    })
    await world.act('START_TEST')
    await untilIdle(world)
    await closing
    await expectLaunched(world)
    expect(world.conversions).toBe(1)
  })
})

describe('the pool', () => {
  it('gives the only slot to others while a task waits', async () => {
    const order: string[] = []
    let looks = 0
    open({
      run: async (_queue, taskId) => {
        order.push(taskId)
        if (taskId === 'waiting' && ++looks < 3) return { waitMs: 300 }
        return 'done'
      },
    })
    await wakeUps.add('conversion', 'waiting' as TaskId)
    await until('it waits', async () => looks === 1)
    await wakeUps.add('conversion', 'other' as TaskId)
    await until('all is done', async () => looks === 3 && order.includes('other'))
    expect(order.indexOf('other')).toBeLessThan(order.lastIndexOf('waiting'))
  })

  it.each(['waits', 'fails'])(
    'leaves a task that %s to the wake-up beside which it was woken',
    async (how) => {
      const woken: string[] = []
      open({
        run: async (_queue, taskId) => {
          woken.push(taskId)
          if (how === 'fails') throw new Error('Not now')
          return { waitMs: 1 }
        },
      })
      await wakeUps.add('conversion', 'left' as TaskId, 'host/dead/1')
      await until('it is woken', async () => woken.includes('left'))
      const queue = new Queue('conversion', { connection: bullConnection(client), prefix: queuePrefix })
      endings.push(() => queue.close())
      await until('its wake-up is gone', async () => {
        const counts = await queue.getJobCounts()
        return Object.values(counts).every((count) => count === 0)
      })
      expect(woken).toEqual(['left'])
    },
  )

  it('runs a task again, later, when it fails', async () => {
    let tries = 0
    open({
      run: async () => {
        if (++tries < 3) throw new Error('Not now')
        return 'done'
      },
    })
    await wakeUps.add('launch', 'failing' as TaskId)
    await until('it has succeeded', async () => tries === 3)
    await until('its wake-up is gone', async () => !(await wakeUps.has('launch', 'failing' as TaskId)))
  })

  it('puts another worker in the place of one that takes nothing', async () => {
    const taken: string[] = []
    const pool = open({
      run: async (_queue, taskId) => {
        taken.push(taskId)
        return 'done'
      },
    })
    await pool.ready()
    const everythingWaits = { waiting: async () => 1 }
    await pool.watch(everythingWaits, 0)
    await pool.watch(everythingWaits, 10_000)
    await pool.watch(everythingWaits, 20_000)
    await pool.ready()
    await wakeUps.add('cleanup', 'after' as TaskId)
    await until('the new worker has taken it', async () => taken.includes('after'))
  })
})
