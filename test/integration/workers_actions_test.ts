import { afterEach, describe, expect, it } from 'vitest'
import type { CloudCommand } from '../../cloud/provider.ts'
import type { PostLaunchAction } from '../../domain/post_launch_action.ts'
import type { ServerEvent } from '../../domain/server_event.ts'
import { findAllEvents } from '../../gateway/queries.ts'
import { mutate } from '../../store/mutate.ts'
import { launched, WorkerWorld } from '../fixtures/worker_world.ts'

let world: WorkerWorld
afterEach(() => world.close())

function action(actionID: string, order: number, own: Partial<PostLaunchAction> = {}): PostLaunchAction {
  return {
    actionID,
    actionName: actionID,
    documentIdentifier: 'AWS-RunShellScript',
    documentVersion: '$DEFAULT',
    order,
    active: true,
    timeoutSeconds: 60,
    mustSucceedForCutover: false,
    parameters: { commands: [{ parameterType: 'STRING', parameterName: actionID }] },
    ...own,
  }
}

/** A server ready for test, with actions; the value of each one's parameter is sealed as its name. */
async function ready(...actions: PostLaunchAction[]): Promise<void> {
  world = await WorkerWorld.ready()
  await mutate(world.store, 'server', { id: world.serverId }, (server) => ({
    ...server,
    postLaunch: { actions },
  }))
  for (const { actionID: name } of actions) {
    const parameter = { name, sealedValue: `run ${name}`, changedAt: '', changedBy: '' }
    await world.store.create('parameter', { id: name }, parameter)
  }
}

/** What the world's box makes of the value of a parameter. */
const scriptOf = (name: string): string => `run ${name} of parameter ${name}\n`

async function launchOf(): Promise<{
  runs: string[]
  log: string[]
  hasActions: boolean | undefined
  discovered: boolean
}> {
  const { launchedInstance } = await world.server()
  const jobId = launchedInstance?.jobId ?? ''
  const found = await world.store.get('launchRuns', { parent: jobId, id: world.serverId })
  const job = await world.store.get('job', { id: jobId })
  const { items } = await world.store.list('jobLog', { parent: jobId, limit: 1000 })
  return {
    runs: (found?.value.runs ?? []).map(({ actionName, status }) => `${actionName} ${status}`),
    log: items
      .map(({ value }) => value)
      .filter(({ event }) => event.startsWith('ACTION'))
      .map(({ event, message }) => `${event} ${message}`),
    hasActions: job?.value.participatingServers[0]?.hasActions,
    discovered: found?.value.discoveredAt !== undefined,
  }
}

/** The events of launches, oldest first, wherever they are by now. */
async function launchEvents(): Promise<Pick<ServerEvent, 'level' | 'message' | 'detail'>[]> {
  return (await findAllEvents(world.store, await world.server()))
    .filter(({ type }) => type === 'LAUNCH')
    .map(({ level, message, detail }) => ({ level, message, detail }))
}

describe('post-launch actions', () => {
  it('run in order on the launched machine; one that fails stops neither the others nor the launch', async () => {
    await ready(
      action('third', 3000),
      action('first', 1001),
      action('second', 2000, { mustSucceedForCutover: true }),
      action('off', 1500, { active: false }),
    )
    const states: CloudCommand[] = [
      { state: 'WAITING', output: '' },
      { state: 'RUNNING', output: '' },
    ]
    world.memoryCloud.commandGuest = ({ text }) =>
      text === scriptOf('second')
        ? { state: 'FAILED', stateReason: 'It ended with exit code 3', output: 'password is x\n' }
        : (states.shift() ?? { state: 'SUCCEEDED', output: `printed by ${text}` })
    await world.act('START_TEST')
    await world.work()
    expect(await world.resources()).toEqual(launched)
    expect(world.memoryCloud.ran.map(({ text }) => text)).toEqual(
      ['first', 'second', 'third'].map((name) => scriptOf(name)),
    )
    expect(await launchOf()).toEqual({
      runs: ['first SUCCESS', 'second FAILED', 'third SUCCESS'],
      log: [
        'ACTION_START Post-launch action “first” begins',
        'ACTION_END Post-launch action “first” succeeded',
        'ACTION_START Post-launch action “second” begins',
        'ACTION_FAIL Post-launch action “second” failed, and must succeed',
        'ACTION_START Post-launch action “third” begins',
        'ACTION_END Post-launch action “third” succeeded',
      ],
      hasActions: true,
      discovered: true,
    })
    const kept = world.kept('actions.log') ?? ''
    expect(kept).toContain(`printed by ${scriptOf('first')}`)
    expect(kept).toContain('password is x\n')
    expect(kept).toMatch(/=== second, .* failed: It ended with exit code 3\n/)
    const { items } = await world.store.list('jobLog', {
      parent: (await world.server()).launchedInstance?.jobId ?? '',
      limit: 1000,
    })
    expect(JSON.stringify(items)).not.toMatch(/password|run second/)
    await expect(world.act('MARK_READY_FOR_CUTOVER')).rejects.toThrow(/“second”.*exit code 3/)
    // Mended, and launched again.
    world.memoryCloud.commandGuest = () => ({ state: 'SUCCEEDED', output: '' })
    await world.act('START_TEST')
    await world.work()
    await world.act('MARK_READY_FOR_CUTOVER')
    await world.act('START_CUTOVER')
    await world.work()
    expect((await launchOf()).runs).toEqual(['first SUCCESS', 'second SUCCESS', 'third SUCCESS'])
    expect((await world.act('FINALIZE')).activeTask?.kind).toBe('FINALIZE')
  })

  it('that fail are told as events of the server, before that of the launch', async () => {
    await ready(
      action('must', 1001, { mustSucceedForCutover: true }),
      action('may', 1002),
      action('ok', 1003),
    )
    world.memoryCloud.commandGuest = ({ text }) =>
      text === scriptOf('ok')
        ? { state: 'SUCCEEDED', output: '' }
        : { state: 'FAILED', stateReason: 'It ended with exit code 3', output: 'password is x\n' }
    await world.act('START_TEST')
    await world.work()
    const { jobId, machineId } = (await world.server()).launchedInstance ?? {}
    const why = 'It ended with exit code 3; what it printed is in actions.log of the job'
    const detail = { state: 'ACTION_FAILED', 'job-id': jobId, purpose: 'TEST' }
    expect(await launchEvents()).toEqual([
      {
        level: 'ERROR',
        message: `Post-launch action “must” failed on the test machine: ${why}`,
        detail: { ...detail, action: 'must', 'must-succeed': true },
      },
      {
        level: 'WARNING',
        message: `Post-launch action “may” failed on the test machine: ${why}`,
        detail: { ...detail, action: 'may', 'must-succeed': false },
      },
      {
        level: 'INFO',
        message: `Test machine ${machineId} launched`,
        detail: { state: 'TEST_LAUNCH_SUCCEEDED', 'job-id': jobId, machineId },
      },
    ])
  })

  it('leave guest and machine as they are where there is nothing to run', async () => {
    await ready(action('off', 1001, { active: false }))
    const targets: unknown[] = []
    const { convert } = world.bench
    world.bench.convert = async (input) => {
      targets.push(input.target.commandPort)
      return convert(input)
    }
    await world.act('START_TEST')
    await world.work()
    expect(await launchOf()).toEqual({ runs: [], log: [], hasActions: undefined, discovered: false })
    const [machine] = world.memoryCloud.machines.values()
    expect(machine?.takesCommands).toBe(false)
    await mutate(world.store, 'server', { id: world.serverId }, (server) => ({
      ...server,
      postLaunch: { actions: [action('on', 1001, { parameters: {}, externalParameters: hostname })] },
    }))
    await world.act('START_TEST')
    await world.work()
    expect(targets).toEqual([undefined, 'org.rehost.commands'])
    expect(world.memoryCloud.ran.map(({ text }) => text)).toEqual(['shop\n'])
  })

  const hostname = { commands: { dynamicPath: 'sourceProperties.identificationHints.hostname' } }

  it.each([
    [
      'a parameter that is not there',
      action('a', 1001, {
        parameters: { commands: [{ parameterType: 'STRING', parameterName: 'nowhere' }] },
      }),
      /Parameter nowhere is not there; keep it with rehost parameters put/,
    ],
    [
      'a tag that the server has not',
      action('a', 1001, { parameters: {}, externalParameters: { commands: { dynamicPath: 'tags.nobody' } } }),
      /The server has no tags.nobody/,
    ],
    [
      'a document that the cloud does not run',
      action('a', 1001, { documentIdentifier: 'AWS-Other' }),
      /local cloud runs AWS-RunShellScript/,
    ],
  ])('fail with words for %s', async (_what, own, reason) => {
    await ready(own)
    await world.act('START_TEST')
    await world.work()
    const { lastRuns } = (await world.server()).postLaunch ?? {}
    expect(lastRuns?.TEST).toMatchObject([{ status: 'FAILED', failureReason: expect.stringMatching(reason) }])
    expect((await world.server()).launchedInstance?.firstBoot).toBe('SUCCEEDED')
    expect(world.memoryCloud.ran).toEqual([])
  })

  it('fail when the machine is not started, does not answer, or stops', async () => {
    await ready(action('a', 1001))
    const reasons = async (): Promise<unknown[]> => {
      await world.act('START_TEST')
      await world.work()
      const { lastRuns } = (await world.server()).postLaunch ?? {}
      return lastRuns?.TEST?.map(({ failureReason }) => failureReason) ?? []
    }
    await world.configure((launch) => ({ ...launch, launchDisposition: 'STOPPED' }))
    const notStarted = expect.stringContaining('was not started') as unknown
    expect(await reasons()).toEqual([notStarted])
    await world.configure((launch) => ({ ...launch, launchDisposition: 'STARTED' }))
    world.memoryCloud.commandGuest = () => ({ state: 'WAITING', output: '' })
    const noAnswer = expect.stringContaining('has not answered in 300 s') as unknown
    expect(await reasons()).toEqual([noAnswer])
    world.memoryCloud.commandGuest = () => {
      for (const { machineId } of world.memoryCloud.machines.values())
        world.memoryCloud.stopMachine(machineId, 'The guest powered itself off')
      return { state: 'RUNNING', output: '' }
    }
    const stopped = 'The machine is STOPPED: The guest powered itself off'
    expect(await reasons()).toEqual([stopped])
  })

  it('do not fail the launch when the cloud is in trouble for a while', async () => {
    await ready(action('a', 1001))
    const { cloud } = world.bench
    let troubles = 20
    world.bench.cloud = new Proxy(cloud, {
      get: (target, property) =>
        property === 'describeCommand' && troubles-- > 0
          ? () => Promise.reject(new Error('The cloud is away'))
          : (Reflect.get(target, property, target) as unknown),
    })
    await world.act('START_TEST')
    await world.work()
    expect(troubles).toBeLessThan(0)
    expect((await launchOf()).runs).toEqual(['a SUCCESS'])
  })

  it('that run for long outlast trouble of the cloud, too', async () => {
    await ready(action('a', 1001, { timeoutSeconds: 3600 }))
    let looks = 0
    world.memoryCloud.commandGuest = () => {
      looks++
      if (looks === 320) throw new Error('The cloud is away')
      return looks < 330 ? { state: 'RUNNING', output: '' } : { state: 'SUCCEEDED', output: '' }
    }
    await world.act('START_TEST')
    await world.work()
    expect(looks).toBeGreaterThanOrEqual(330)
    expect((await launchOf()).runs).toEqual(['a SUCCESS'])
  })

  it('run once and in order wherever the worker dies', { timeout: 300_000 }, async () => {
    const actions = [action('first', 1001), action('second', 1002)]
    const begin = async (): Promise<void> => {
      await ready(...actions)
      world.memoryCloud.commandGuest = ({ text }) =>
        text === scriptOf('second')
          ? { state: 'FAILED', stateReason: 'No', output: '' }
          : { state: 'SUCCEEDED', output: '' }
      await world.act('START_TEST')
    }
    await begin()
    world.plan.arm(Infinity, false)
    await world.work()
    const total = world.plan.calls
    await world.close()
    expect(total).toBeGreaterThan(40)
    for (let call = 1; call <= total; call++) {
      for (const isAfter of [false, true]) {
        await begin()
        world.plan.arm(call, isAfter)
        const crashes = await world.work()
        const { runs, log } = await launchOf()
        const found = {
          call,
          isAfter,
          crashes,
          ran: world.memoryCloud.ran.map(({ text }) => text),
          runs,
          log,
          told: (await launchEvents()).map(({ level, detail }) => `${level} ${detail['state']}`),
        }
        expect(found).toEqual({
          call,
          isAfter,
          crashes: 1,
          ran: [scriptOf('first'), scriptOf('second')],
          runs: ['first SUCCESS', 'second FAILED'],
          log: [
            'ACTION_START Post-launch action “first” begins',
            'ACTION_END Post-launch action “first” succeeded',
            'ACTION_START Post-launch action “second” begins',
            'ACTION_FAIL Post-launch action “second” failed',
          ],
          told: ['WARNING ACTION_FAILED', 'INFO TEST_LAUNCH_SUCCEEDED'],
        })
        await world.close()
      }
    }
  })
})
