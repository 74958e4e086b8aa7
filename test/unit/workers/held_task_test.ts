import { beforeEach, describe, expect, it } from 'vitest'
import type { SourceServerId, TaskId } from '../../../domain/ids.ts'
import type { Task } from '../../../domain/task.ts'
import { taskSteps } from '../../../queues/task_steps.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { mutate } from '../../../store/mutate.ts'
import { HeldTask, LeaseLostError, leaseMs } from '../../../workers/held_task.ts'

const taskId = 'launch-s-1-1' as TaskId
let nowMs: number
let bench: Parameters<typeof HeldTask.take>[0]

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  bench = {
    store: new MemoryStore(),
    clock: () => new Date(nowMs),
    isGone: async (owner) => owner === 'dead',
    changes: { publish: async () => undefined },
  }
  const task: Task = {
    taskId,
    kind: 'LAUNCH',
    sourceServerId: 's-1' as SourceServerId,
    createdAt: '2026-01-01T00:00:00Z',
    status: 'RUNNING',
    steps: [],
    leaseEpoch: 0,
  }
  await bench.store.create('task', { id: taskId }, task)
})

/** The launch is in the middle of the step called `name`. */
async function at(name: string): Promise<void> {
  const position = taskSteps.LAUNCH.findIndex((step) => step.name === name)
  const steps = taskSteps.LAUNCH.map((step, index) => ({
    name: step.name,
    status:
      index < position ? ('DONE' as const) : index === position ? ('RUNNING' as const) : ('PENDING' as const),
    attempts: 0,
  }))
  await mutate(bench.store, 'task', { id: taskId }, (task) => ({ ...task, steps }))
}

async function take(owner: string): Promise<HeldTask> {
  const held = await HeldTask.take(bench, owner, taskId)
  if (held === undefined || 'busyUntilMs' in held) throw new Error('The task cannot be had')
  return held
}

describe('HeldTask', () => {
  it('is undefined for a task that does not exist', async () => {
    expect(await HeldTask.take(bench, 'one', 'none' as TaskId)).toBeUndefined()
  })

  it('keeps others out until the lease has run out, and raises the epoch each time', async () => {
    const first = await take('one')
    expect(first.task.lease).toMatchObject({ owner: 'one', epoch: 1 })
    expect(await HeldTask.take(bench, 'two', taskId)).toEqual({ busyUntilMs: nowMs + leaseMs })
    nowMs += leaseMs - 1000
    await first.renew()
    nowMs += leaseMs - 1000
    expect(await HeldTask.take(bench, 'two', taskId)).toEqual({ busyUntilMs: nowMs + 1000 })
    nowMs += 1000
    expect(first.isExpired()).toBe(true)
    expect((await take('two')).task.lease).toMatchObject({ owner: 'two', epoch: 2 })
  })

  it('is taken at once from a holder that is known to have died', async () => {
    await at('convert')
    const first = await take('dead')
    const second = await take('two')
    expect(second.wasAbandoned).toBe(true)
    expect(second.task.lease).toMatchObject({ owner: 'two', epoch: 2 })
    await expect(first.renew()).rejects.toBeInstanceOf(LeaseLostError)
  })

  it('is not taken at once when workers died in the middle of the same step before', async () => {
    await at('convert')
    await take('dead')
    const second = await take('dead')
    expect(second.task.steps.find(({ name }) => name === 'convert')?.abandonments).toBe(1)
    expect(await HeldTask.take(bench, 'three', taskId)).toEqual({ busyUntilMs: nowMs + leaseMs })
    nowMs += leaseMs
    const third = await take('three')
    expect(third.task.steps.find(({ name }) => name === 'convert')?.abandonments).toBe(2)
  })

  it.each(['launch-machine', 'check-boot', 'terminate-previous'])(
    'is not taken at once in the middle of %s, where a machine may be about to start',
    async (name) => {
      await at(name)
      await take('dead')
      expect(await HeldTask.take(bench, 'two', taskId)).toEqual({ busyUntilMs: nowMs + leaseMs })
    },
  )

  it('does not wait for hours when the clock was set back, and the holder of old loses the task', async () => {
    const first = await take('one')
    nowMs -= 3_600_000
    const second = await take('two')
    expect(second.task.lease).toMatchObject({ owner: 'two', epoch: 2 })
    await expect(first.renew()).rejects.toBeInstanceOf(LeaseLostError)
  })

  it('still believes a lease when the clocks of two workers differ a little', async () => {
    await take('one')
    nowMs -= 10_000
    expect(await HeldTask.take(bench, 'two', taskId)).toEqual({ busyUntilMs: nowMs + 10_000 + leaseMs })
  })

  it('refuses every save of a holder whose task was taken', async () => {
    const first = await take('one')
    nowMs += leaseMs
    const second = await take('two')
    await expect(first.save({ ...first.task, failure: 'too late' })).rejects.toBeInstanceOf(LeaseLostError)
    await expect(first.renew()).rejects.toBeInstanceOf(LeaseLostError)
    await expect(first.release()).rejects.toBeInstanceOf(LeaseLostError)
    await second.save({ ...second.task, failure: 'in time' })
    expect((await bench.store.get('task', { id: taskId }))?.value.failure).toBe('in time')
  })

  it('lets one of two win that take it at once', async () => {
    const tries = await Promise.allSettled([take('one'), take('two')])
    expect(tries.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('can be had at once when it was given back', async () => {
    await (await take('one')).release()
    expect((await take('two')).task.lease?.owner).toBe('two')
  })

  it('saves in the order asked for, renewals in between', async () => {
    const held = await take('one')
    await Promise.all([
      held.save({ ...held.task, failure: 'a' }),
      held.renew(),
      held.save({ ...held.task, failure: 'b' }),
    ])
    expect((await bench.store.get('task', { id: taskId }))?.value.failure).toBe('b')
  })
})
