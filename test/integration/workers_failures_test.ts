import { afterEach, describe, expect, it } from 'vitest'
import { failing } from '../../cloud/wrappers/failing.ts'
import type { CloudOperation, PlannedFailure } from '../../cloud/wrappers/failing.ts'
import { PermanentError } from '../../domain/errors.ts'
import type { TaskKind } from '../../domain/task.ts'
import { taskSteps } from '../../queues/task_steps.ts'
import type { StepName } from '../../queues/task_steps.ts'
import type { Step, StepContext } from '../../workers/step.ts'
import { steps } from '../../workers/steps.ts'
import { WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

const nothing = { replicationServer: 0, volume: 0, snapshot: 0, image: 0, machine: 0 }
const staged = { ...nothing, replicationServer: 1, volume: 1 }
const launched = { ...staged, snapshot: 1, image: 1, machine: 1 }

/** From enrolment to READY_FOR_TEST. */
async function ready(): Promise<void> {
  world = await WorkerWorld.make()
  await world.work()
  await world.makeReady()
}

function stepNames(kind: TaskKind): StepName[] {
  return taskSteps[kind].map(({ name }) => name)
}

/** All steps, with the one called `name` ending in `error` once its work is done. */
function failingAt(name: StepName, error: Error): Record<StepName, Step> {
  const step = steps[name]
  const broken: Step = {
    ...step,
    run: async (context) => {
      const result = await step.run(context)
      if ('done' in result) throw error
      return result
    },
  }
  return { ...steps, [name]: broken }
}

/** All steps, each doing its work twice before it counts as done. */
function twice(): Record<StepName, Step> {
  const doubled = Object.entries(steps).map(([name, step]): [string, Step] => [
    name,
    {
      ...step,
      run: async (context) => {
        const first = await step.run(context)
        return 'done' in first ? step.run({ ...context, isRerun: true }) : first
      },
    },
  ])
  return Object.fromEntries(doubled) as Record<StepName, Step>
}

describe('each step', () => {
  it('done twice is done once', async () => {
    world = await WorkerWorld.make()
    world.steps = twice()
    await world.work()
    expect(await world.resources()).toEqual(staged)
    await world.makeReady()
    await world.act('START_TEST')
    await world.work()
    expect(await world.resources()).toEqual(launched)
    await world.act('MARK_READY_FOR_CUTOVER')
    await world.act('START_CUTOVER')
    await world.work()
    expect(await world.resources()).toEqual(launched)
    await world.act('FINALIZE')
    await world.work()
    expect((await world.server()).lifecycle.state).toBe('CUTOVER')
    expect(await world.resources()).toEqual({ ...nothing, machine: 1 })
  })

  it.each(stepNames('LAUNCH'))('failing for good in %s takes the launch back', async (name) => {
    await ready()
    world.steps = failingAt(name, new PermanentError(`No ${name} here`))
    const asked = await world.act('START_TEST')
    await world.work()
    const server = await world.server()
    expect(server.lifecycle.state).toBe('READY_FOR_TEST')
    expect(server.launchedInstance).toBeUndefined()
    expect(['REQUESTED', 'REACHED']).not.toContain(server.consistencyRequest?.state)
    expect(await world.resources()).toEqual(staged)
    const task = (await world.store.get('task', { id: String(asked.activeTask?.taskId) }))?.value
    expect(task?.status).toBe('FAILED')
    expect(task?.failure).toBe(`No ${name} here`)
    const position = stepNames('LAUNCH').indexOf(name)
    expect(task?.steps.map(({ status }) => status)).toEqual(
      stepNames('LAUNCH').map((_, index) =>
        index < position ? 'UNDONE' : index === position ? 'FAILED' : 'SKIPPED',
      ),
    )
    const job = (await world.store.get('job', { id: String(asked.activeTask?.jobId) }))?.value
    expect(job).toMatchObject({
      status: 'COMPLETED',
      participatingServers: [{ launchStatus: 'FAILED', failure: `No ${name} here` }],
    })
  })

  it.each(stepNames('STAGING'))(
    'failing for good in %s leaves no staging area, says why, and is tried again',
    async (name) => {
      world = await WorkerWorld.make()
      world.steps = failingAt(name, new PermanentError(`No ${name} here`))
      await world.work()
      const server = await world.server()
      expect(await world.resources()).toEqual(nothing)
      expect((await world.store.list('replicationServer')).items).toEqual([])
      expect((await world.store.list('token')).items).toEqual([])
      expect(server.replication.replicationServerId).toBeUndefined()
      expect(server.disks[0]?.volumeId).toBeUndefined()
      if (name !== 'pair-with-agent') {
        expect(server.replication.state).toBe('STALLED')
        expect(server.replication.error?.rawError).toBe(`No ${name} here`)
        expect(server.replication.initiation.steps.filter(({ status }) => status === 'FAILED')).toHaveLength(
          1,
        )
      }
      world.steps = steps
      await world.reconcileAfter(61_000)
      await world.work()
      expect((await world.server()).replication).toMatchObject({ state: 'INITIATING' })
      expect((await world.server()).replication.error).toBeUndefined()
      expect(await world.resources()).toEqual(staged)
    },
  )

  it('that takes things away is tried until it succeeds, and the operator is told once', async () => {
    await ready()
    await world.act('START_TEST')
    await world.work()
    let tries = 0
    const step = steps['remove-staging']
    world.steps = {
      ...steps,
      'remove-staging': {
        ...step,
        run: (context) =>
          ++tries <= 20 ? Promise.reject(new PermanentError('The cloud says no')) : step.run(context),
      },
    }
    await world.act('DISCONNECT')
    await world.work()
    expect(tries).toBeGreaterThan(20)
    expect(await world.resources()).toEqual({ ...nothing, machine: 1 })
    const told = (await world.server()).outbox.filter(({ message }) =>
      message.startsWith('The cloud says no'),
    )
    expect(told).toHaveLength(1)
  })
})

describe('what stands in the way', () => {
  async function jobLog(jobId: string | undefined) {
    const { items } = await world.store.list('jobLog', { parent: String(jobId), limit: 1000 })
    return items.map(({ value }) => value)
  }

  it('of a launch is in its job log at each attempt, and where it was given up', async () => {
    await ready()
    world.bench.convert = () => Promise.reject(new Error('The appliance did not start'))
    const asked = await world.act('START_TEST')
    await world.work()
    const lines = (await jobLog(asked.activeTask?.jobId)).filter(({ event }) => event === 'CONVERSION_FAIL')
    expect(lines.map(({ message }) => message)).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7].map((attempt) => `Attempt ${attempt} of 8 failed; Rehost tries again`),
      'Given up; what was made is taken back',
    ])
    expect(lines[2]).toMatchObject({
      rawError: 'The appliance did not start',
      attemptCount: 3,
      maxAttemptsCount: 8,
    })
  })

  it('of taking a launch back is told once for each reason, and it ends when it can', async () => {
    await ready()
    world.bench.convert = () => Promise.reject(new PermanentError('No kernel'))
    let tries = 0
    const create = steps['create-image']
    world.steps = {
      ...steps,
      'create-image': {
        ...create,
        undo: async (context) => {
          tries++
          if (tries <= 5) throw new Error('The image is in use')
          if (tries <= 10) throw new Error('The cloud does not answer')
          await create.undo?.(context)
        },
      },
    }
    const asked = await world.act('START_TEST')
    await world.work()
    expect(tries).toBe(11)
    const server = await world.server()
    expect(server.lifecycle.state).toBe('READY_FOR_TEST')
    const told = server.outbox.filter(({ message }) => message.startsWith('Cannot take back'))
    expect(told.map(({ message }) => message)).toEqual([
      'Cannot take back what the step create-image made: The image is in use. Rehost tries again until it succeeds',
      'Cannot take back what the step create-image made: The cloud does not answer. Rehost tries again until it succeeds',
    ])
    const log = await jobLog(asked.activeTask?.jobId)
    expect(log.filter(({ event }) => event === 'CLEANUP_FAIL').map(({ rawError }) => rawError)).toEqual([
      'The image is in use',
      'The cloud does not answer',
    ])
    const task = (await world.store.get('task', { id: String(asked.activeTask?.taskId) }))?.value
    expect(task).toMatchObject({ status: 'FAILED', failure: 'No kernel' })
    expect(task?.steps.find(({ name }) => name === 'create-image')).toMatchObject({ status: 'UNDONE' })
    expect(task?.steps.find(({ name }) => name === 'create-image')?.error).toBeUndefined()
    expect(task?.steps.find(({ name }) => name === 'convert')).toMatchObject({
      status: 'FAILED',
      error: 'No kernel',
    })
  })

  it('of terminating a machine is in the job log', async () => {
    await ready()
    await world.act('START_TEST')
    await world.work()
    const plan: PlannedFailure[] = [1, 2].map(() => ({
      operation: 'terminateMachine',
      when: 'before',
      error: new Error('The process does not end'),
    }))
    world.bench.cloud = failing(world.cloud, plan)
    const asked = await world.act('REVERT_TO_READY_FOR_TEST')
    await world.work()
    const log = await jobLog(asked.activeTask?.jobId)
    expect(log.map(({ event }) => event)).toEqual([
      'JOB_START',
      'CLEANUP_START',
      'CLEANUP_FAIL',
      'CLEANUP_END',
      'JOB_END',
    ])
  })

  it('of a step whose worker died is in the job log', async () => {
    await ready()
    world.bench.convert = async () => {
      world.bench.convert = async () => ({ firmware: 'BIOS', report: {} })
      world.plan.arm(1, false)
      throw new Error('Killed')
    }
    const asked = await world.act('START_TEST')
    expect(await world.work()).toBe(1)
    const log = await jobLog(asked.activeTask?.jobId)
    expect(log.filter(({ event }) => event === 'CONVERSION_FAIL').map(({ message }) => message)).toEqual([
      'The worker that did this ended in the middle of it; it is done again',
    ])
    expect((await world.server()).launchedInstance?.firstBoot).toBe('SUCCEEDED')
  })

  it('again and again after steps that seemed to be done ends the task', async () => {
    world = await WorkerWorld.make()
    let rounds = 0
    world.steps = {
      ...steps,
      'wait-for-replication-server': {
        ...steps['wait-for-replication-server'],
        run: async () => {
          rounds++
          return { redoFrom: 'launch-replication-server', because: 'The replication server is gone' }
        },
      },
    }
    await world.work()
    expect(rounds).toBe(8)
    expect((await world.server()).replication.error?.rawError).toBe('The replication server is gone')
    expect(await world.resources()).toEqual(nothing)
  })
})

describe('trouble with the cloud', () => {
  const operations: CloudOperation[] = [
    'createSnapshot',
    'createImage',
    'openImage',
    'launchMachine',
    'describeMachine',
    'consoleText',
  ]
  it.each(
    operations.flatMap((operation) => [
      { operation, when: 'before' as const },
      { operation, when: 'after' as const },
    ]),
  )('once in $operation, $when its effect, is got over', async ({ operation, when }) => {
    await ready()
    const plan: PlannedFailure[] = [{ operation, when, error: new Error('Throttled') }]
    world.bench.cloud = failing(world.cloud, plan)
    await world.act('START_TEST')
    await world.work()
    expect(plan).toEqual([])
    expect((await world.server()).launchedInstance?.firstBoot).toBe('SUCCEEDED')
    expect(await world.resources()).toEqual(launched)
  })
})

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
    expect(await world.resources()).toEqual({ ...nothing, machine: 1 })
    await world.act('TERMINATE')
    await world.work()
    expect((await world.server()).launchedInstance).toBeUndefined()
    expect(await world.resources()).toEqual(nothing)
  })

  it('DELETE of a disconnected server takes its test machine, which nobody would find any more', async () => {
    await ready()
    await world.act('START_TEST')
    await world.work()
    await world.act('DISCONNECT')
    await world.work()
    await world.act('DELETE')
    await world.work()
    expect(await world.resources()).toEqual(nothing)
  })

  it('FINALIZE goes on when the cutover machine was taken away behind its back, and says so', async () => {
    await ready()
    await world.act('START_TEST')
    await world.work()
    await world.act('MARK_READY_FOR_CUTOVER')
    await world.act('START_CUTOVER')
    await world.work()
    const machineId = (await world.server()).launchedInstance?.machineId
    if (machineId === undefined) throw new Error('No machine was launched')
    await world.cloud.terminateMachine(machineId)
    await world.act('FINALIZE')
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
    expect((await world.store.list('serverEvent', { parent: world.serverId })).items).toEqual([])
    expect((await world.store.list('task')).items.map(({ value }) => value.kind)).toEqual([
      'LAUNCH',
      'LAUNCH',
    ])
    expect((await world.store.list('job')).items).toHaveLength(2)
    expect(await world.resources()).toEqual({ ...nothing, machine: 1 })
  })
})

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
