import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { failing } from '../../cloud/wrappers/failing.ts'
import { PermanentError } from '../../domain/errors.ts'
import { steps } from '../../workers/steps.ts'
import { WorkerWorld } from '../fixtures/worker_world.ts'

/** What the operator can look at after a launch, however it ended. */
let world: WorkerWorld
beforeEach(async () => {
  world = await WorkerWorld.make()
  await world.work()
  await world.makeReady()
})
afterEach(() => world.close())

const booting = (): Promise<{ consoleText: string }> =>
  Promise.resolve({ consoleText: 'Linux version 6.1\nsystemd: starting\n' })

describe('evidence of a launch', () => {
  it('of a machine that came up has console, screen and report', async () => {
    await world.act('START_TEST')
    await world.work()
    expect(world.kept('serial.log')).toContain('memory login: ')
    expect(world.kept('screenshot.png')).toContain('PNG')
    expect(JSON.parse(world.kept('conversion.json') ?? '')).toEqual({ changes: [] })
  })

  it('is kept while the machine comes up, before the check has ended', async () => {
    world.memoryCloud.guest = booting
    let keptBeforeTheEnd: string | undefined
    const check = steps['check-boot']
    world.steps = {
      ...steps,
      'check-boot': {
        ...check,
        run: async (context) => {
          const result = await check.run(context)
          keptBeforeTheEnd ??= world.kept('serial.log')
          return result
        },
      },
    }
    await world.configure((launch) => ({ ...launch, bootTimeoutSeconds: 30 }))
    await world.act('START_TEST')
    await world.work()
    expect(keptBeforeTheEnd).toContain('systemd: starting')
  })

  it('of a machine that was not up in time has its console and its screen', async () => {
    world.memoryCloud.guest = booting
    await world.configure((launch) => ({ ...launch, bootTimeoutSeconds: 30 }))
    await world.act('START_TEST')
    await world.work()
    expect((await world.resources()).machine).toBe(0)
    expect(world.kept('serial.log')).toContain('systemd: starting')
    expect(world.kept('screenshot.png')).toContain('PNG')
  })

  it('is kept before the machine is taken away when the check itself cannot be done', async () => {
    world.memoryCloud.guest = booting
    const error = new Error('The cloud does not answer')
    world.bench.cloud = failing(
      world.cloud,
      Array.from({ length: 8 }, () => ({
        operation: 'describeMachine' as const,
        when: 'before' as const,
        error,
      })),
    )
    await world.act('START_TEST')
    await world.work()
    expect((await world.resources()).machine).toBe(0)
    expect(world.kept('serial.log')).toContain('systemd: starting')
    expect(world.kept('screenshot.png')).toContain('PNG')
  })

  it('that cannot be had or saved fails no launch', async () => {
    world.bench.cloud = failing(world.cloud, [
      { operation: 'screenshot', when: 'before', error: new Error('No screen') },
    ])
    world.bench.artefacts = {
      write: () => Promise.reject(new PermanentError('ENOSPC: no space left on device')),
    }
    await world.act('START_TEST')
    await world.work()
    expect((await world.server()).launchedInstance?.firstBoot).toBe('SUCCEEDED')
  })
})
