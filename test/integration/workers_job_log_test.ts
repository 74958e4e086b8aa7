import { afterEach, describe, expect, it } from 'vitest'
import { failing } from '../../cloud/wrappers/failing.ts'
import type { PlannedFailure } from '../../cloud/wrappers/failing.ts'
import { PermanentError } from '../../domain/errors.ts'
import { steps } from '../../workers/steps.ts'
import { nothing, WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

/** From enrolment to READY_FOR_TEST. */
async function ready(): Promise<void> {
  world = await WorkerWorld.ready()
}

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
