import { afterEach, describe, expect, it } from 'vitest'
import { failing } from '../../cloud/wrappers/failing.ts'
import type { CloudOperation, PlannedFailure } from '../../cloud/wrappers/failing.ts'
import { PermanentError } from '../../domain/errors.ts'
import { steps } from '../../workers/steps.ts'
import { failingAt, stepNames, twice } from '../fixtures/step_lists.ts'
import { launched, nothing, staged, WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

/** From enrolment to READY_FOR_TEST. */
async function ready(): Promise<void> {
  world = await WorkerWorld.ready()
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
