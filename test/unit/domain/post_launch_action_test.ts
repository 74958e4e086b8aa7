import { describe, expect, it } from 'vitest'
import { applyAction, decideAction } from '../../../domain/actions.ts'
import { checkDocumentUse, maxScriptBytes, shellScriptOf } from '../../../domain/command_document.ts'
import { ConflictError, InvalidInputError } from '../../../domain/errors.ts'
import type { MachineId } from '../../../domain/ids.ts'
import type { PostLaunchSettings } from '../../../domain/post_launch_action.ts'
import type { ActionOutcome, LaunchRuns, PostLaunchAction } from '../../../domain/post_launch_action.ts'
import { closedGate, planOfLaunch, withOutcomes } from '../../../domain/action_gate.ts'
import { failed, openRun, outcomesOf, withRun } from '../../../domain/post_launch_action.ts'
import { isServerPath, serverPaths, valueAt } from '../../../domain/server_path.ts'
import type { LaunchedInstance, SourceServer } from '../../../domain/source_server.ts'
import { withTemplates } from '../../../domain/template.ts'
import { later, testJobId, testServer } from '../../fixtures/source_server.ts'

function action(actionID: string, own: Partial<PostLaunchAction> = {}): PostLaunchAction {
  return {
    actionID,
    actionName: `name of ${actionID}`,
    documentIdentifier: 'AWS-RunShellScript',
    documentVersion: '$DEFAULT',
    order: 2000,
    active: true,
    timeoutSeconds: 60,
    mustSucceedForCutover: false,
    ...own,
  }
}

function serverWith(
  actions: PostLaunchAction[],
  settings?: PostLaunchSettings,
  own: Partial<SourceServer> = {},
): SourceServer {
  const server = testServer('TESTING', 'CONTINUOUS', own)
  const { launchConfiguration } = server
  return {
    ...server,
    postLaunch: { actions },
    launchConfiguration:
      settings === undefined ? launchConfiguration : { ...launchConfiguration, postLaunchActions: settings },
  }
}

const keysOf = (server: SourceServer, purpose: 'TEST' | 'CUTOVER') =>
  planOfLaunch(server, purpose).map(({ key }) => key)

describe('planOfLaunch()', () => {
  it('has the documents of the launch configuration first, then active actions by order and id', () => {
    const server = serverWith(
      [
        action('b', { order: 1001 }),
        action('a', { order: 1001 }),
        action('late', { order: 9000 }),
        action('off', { active: false }),
        action('early', { order: 1000 }),
      ],
      { ssmDocuments: [{ actionName: 'first', ssmDocumentName: 'AWS-RunShellScript' }] },
    )
    expect(keysOf(server, 'TEST')).toEqual([
      'document/first/AWS-RunShellScript',
      'action/early',
      'action/a',
      'action/b',
      'action/late',
    ])
    expect(planOfLaunch(server, 'TEST')[0]).toEqual({
      key: 'document/first/AWS-RunShellScript',
      actionName: 'first',
      documentIdentifier: 'AWS-RunShellScript',
      timeoutSeconds: 3600,
      mustSucceedForCutover: false,
      status: 'WAITING',
    })
  })

  it.each([
    [undefined, 1, 1],
    ['TEST_AND_CUTOVER', 1, 1],
    ['TEST_ONLY', 1, 0],
    ['CUTOVER_ONLY', 0, 1],
  ] as const)(
    'with the deployment %s has %i for a test and %i for a cutover',
    (deployment, test, cutover) => {
      const server = serverWith([action('a')], deployment === undefined ? undefined : { deployment })
      expect([planOfLaunch(server, 'TEST').length, planOfLaunch(server, 'CUTOVER').length]).toEqual([
        test,
        cutover,
      ])
    },
  )

  it('is nothing for a server that has nothing', () => {
    expect(planOfLaunch(testServer('TESTING', 'CONTINUOUS'), 'TEST')).toEqual([])
  })
})

describe('closedGate()', () => {
  const must = action('check', { mustSucceedForCutover: true })
  const bad: ActionOutcome = {
    key: 'action/check',
    actionName: 'name of check',
    status: 'FAILED',
    failureReason: 'It ended with exit code 3',
  }
  const good: ActionOutcome = { key: 'action/check', actionName: 'name of check', status: 'SUCCESS' }
  const after = (actions: PostLaunchAction[], outcomes: ActionOutcome[], settings?: PostLaunchSettings) =>
    closedGate(withOutcomes(serverWith(actions, settings), 'TEST', outcomes), 'TEST')

  it('names the action that must succeed and did not, why, and what to do', () => {
    expect(after([must], [bad])).toBe(
      'The post-launch action “name of check”, which must succeed, failed in the last test (It ended with exit code 3); ' +
        'launch the test again once it is mended, or change the action',
    )
    expect(after([must], [])).toContain('has not run in the last test')
  })

  it('is open once the action has succeeded, is gone, off, or need not succeed, or runs at no test', () => {
    expect(after([must], [good])).toBeUndefined()
    expect(after([], [bad])).toBeUndefined()
    expect(after([{ ...must, active: false }], [bad])).toBeUndefined()
    expect(after([{ ...must, mustSucceedForCutover: false }], [bad])).toBeUndefined()
    expect(after([must], [bad], { deployment: 'CUTOVER_ONLY' })).toBeUndefined()
    expect(after([action('other')], [{ ...bad, key: 'action/other' }])).toBeUndefined()
  })

  it('looks at the last launch of its own purpose alone', () => {
    const server = withOutcomes(withOutcomes(serverWith([must]), 'TEST', [good]), 'CUTOVER', [bad])
    expect(closedGate(server, 'TEST')).toBeUndefined()
    expect(closedGate(server, 'CUTOVER')).toContain('failed in the last cutover')
    expect(closedGate(withOutcomes(server, 'CUTOVER', [good]), 'CUTOVER')).toBeUndefined()
  })

  it('refuses READY_FOR_CUTOVER after a test and the end of a cutover, with its words', () => {
    const launchedInstance = (purpose: 'TEST' | 'CUTOVER'): LaunchedInstance => ({
      machineId: 'm-00000000000000001' as MachineId,
      imageId: 'img-00000000000000001' as never,
      snapshotIds: [],
      jobId: testJobId,
      purpose,
      launchedAt: later(1),
      firstBoot: 'SUCCEEDED',
    })
    const context = { at: later(2), actor: 'admin', jobId: testJobId }
    const tested = serverWith([must], undefined, { launchedInstance: launchedInstance('TEST') })
    const failedTest = withOutcomes(tested, 'TEST', [bad])
    expect(() => applyAction(failedTest, 'MARK_READY_FOR_CUTOVER', context)).toThrow(ConflictError)
    expect(() => applyAction(failedTest, 'MARK_READY_FOR_CUTOVER', context)).toThrow(/“name of check”/)
    const goodTest = withOutcomes(tested, 'TEST', [good])
    expect(applyAction(goodTest, 'MARK_READY_FOR_CUTOVER', context).lifecycle.state).toBe('READY_FOR_CUTOVER')
    const cut: SourceServer = {
      ...goodTest,
      launchedInstance: launchedInstance('CUTOVER'),
      lifecycle: { ...goodTest.lifecycle, state: 'CUTTING_OVER' },
    }
    expect(decideAction(withOutcomes(cut, 'CUTOVER', [bad]), 'FINALIZE')).toMatchObject({ possible: false })
    expect(decideAction(withOutcomes(cut, 'CUTOVER', [good]), 'FINALIZE')).toEqual({ possible: true })
    // The way back is open all the time.
    expect(decideAction(withOutcomes(cut, 'CUTOVER', [bad]), 'REVERT_TO_READY_FOR_CUTOVER').possible).toBe(
      true,
    )
  })
})

describe('runs of a launch', () => {
  const launch: LaunchRuns = {
    jobId: testJobId,
    sourceServerId: testServer().sourceServerId,
    runs: planOfLaunch(serverWith([action('a'), action('b')]), 'TEST'),
  }

  it('go one after the other, and are remembered once they are over', () => {
    expect(openRun(launch)?.index).toBe(0)
    const begun = withRun(launch, 0, { status: 'IN_PROGRESS', startedAt: later(1) })
    expect(openRun(begun)?.run.status).toBe('IN_PROGRESS')
    expect(outcomesOf(begun.runs)).toEqual([])
    const over = withRun(withRun(begun, 0, failed('No', later(2))), 1, { status: 'SUCCESS' })
    expect(openRun(over)).toBeUndefined()
    expect(outcomesOf(over.runs)).toEqual([
      { key: 'action/a', actionName: 'name of a', status: 'FAILED', failureReason: 'No' },
      { key: 'action/b', actionName: 'name of b', status: 'SUCCESS' },
    ])
  })

  it('stay as they are for a worker that comes late', () => {
    const begun = withRun(launch, 0, { status: 'IN_PROGRESS', startedAt: later(1) })
    expect(withRun(begun, 0, { status: 'IN_PROGRESS', startedAt: later(9) })).toBe(begun)
    const over = withRun(begun, 0, { status: 'SUCCESS' })
    expect(withRun(over, 0, failed('late', later(9)))).toBe(over)
  })

  it('have reasons that fit into MGN’s shapes', () => {
    expect(failed('x'.repeat(300), later(1)).failureReason).toHaveLength(256)
  })
})

describe('documents', () => {
  const use = (own: Partial<Parameters<typeof checkDocumentUse>[0]>) =>
    checkDocumentUse({ documentIdentifier: 'AWS-RunShellScript', parameterNames: ['commands'], ...own })
  const fieldOf = (own: Parameters<typeof use>[0]): unknown => {
    try {
      use(own)
      return undefined
    } catch (error) {
      return error instanceof InvalidInputError ? error.field : error
    }
  }

  it('are refused by the field when they are not known, or not used as they must be', () => {
    expect(fieldOf({})).toBeUndefined()
    expect(fieldOf({ documentVersion: '1' })).toBeUndefined()
    expect(fieldOf({ documentIdentifier: 'AWS-RunRemoteScript' })).toBe('documentIdentifier')
    expect(fieldOf({ documentIdentifier: '__proto__' })).toBe('documentIdentifier')
    expect(fieldOf({ documentVersion: '7' })).toBe('documentVersion')
    expect(fieldOf({ parameterNames: ['commands', 'shell'] })).toBe('parameters')
    expect(fieldOf({ parameterNames: ['workingDirectory'] })).toBe('parameters')
    expect(() => use({ documentIdentifier: 'AWS-X' })).toThrow('AWS-RunShellScript')
  })

  it('become a script with the smaller of two time limits', () => {
    expect(shellScriptOf({ commands: ['a\nb', 'c'], workingDirectory: ['/srv'] }, 30)).toEqual({
      text: 'a\nb\nc\n',
      workingDirectory: '/srv',
      timeoutSeconds: 30,
    })
    expect(shellScriptOf({ commands: ['a'], executionTimeout: ['5'] }, 30).timeoutSeconds).toBe(5)
    expect(shellScriptOf({ commands: ['a'], executionTimeout: ['50'] }, 30).timeoutSeconds).toBe(30)
  })

  it.each([
    { commands: ['', ' '] },
    { commands: ['a\0b'] },
    { commands: ['x'.repeat(maxScriptBytes + 1)] },
    { commands: ['a'], executionTimeout: ['soon'] },
    { commands: ['a'], workingDirectory: ['/a\n/b'] },
  ])('with values of no use are refused: %#', (values) => {
    expect(() => shellScriptOf(values, 30)).toThrow(InvalidInputError)
  })
})

describe('paths into a server', () => {
  it('lead to what MGN’s shape has there', () => {
    const server = testServer('TESTING', 'CONTINUOUS', {
      tags: { team: 'shop' },
      userProvidedId: 'own-1',
      applicationId: 'app-00000000000000001' as never,
    })
    const at = (path: string) => valueAt(server, 'm-00000000000000001' as MachineId, path)
    expect(at('sourceProperties.identificationHints.hostname')).toBe('web-1')
    expect(at('sourceProperties.networkInterfaces[0].ips[0]')).toBe('192.0.2.20')
    expect(at('sourceProperties.cpus[0].modelName')).toBe('Test processor')
    expect(at('sourceProperties.disks[0].bytes')).toBe('1073741824')
    expect(at('launchedInstance.ec2InstanceID')).toBe('m-00000000000000001')
    expect(at('tags.team')).toBe('shop')
    for (const path of serverPaths) {
      const real = path.replaceAll('[N]', '[0]').replace('KEY', 'team')
      expect([path, at(real)]).toEqual([path, expect.any(String)])
    }
    expect(at('tags.nobody')).toBeUndefined()
    expect(at('tags.constructor')).toBeUndefined()
    expect(at('sourceProperties.networkInterfaces[7].ips[0]')).toBeUndefined()
  })

  it.each(['agent.certificateSerial', 'tags', 'sourceProperties', 'tags.a.b', 'sourceServerIDx', ''])(
    'are no others: %s',
    (path) => expect(isServerPath(path)).toBe(false),
  )
})

it('new servers take over the actions of a template that are for their system', () => {
  const launch = {
    launchTemplateId: 'lct-00000000000000001' as never,
    createdAt: later(0),
    tags: {},
    launchDisposition: 'STARTED' as const,
    rightSizing: 'BASIC' as const,
    bootMode: 'USE_SOURCE' as const,
    copyTags: true,
    osByol: false,
    postLaunchActions: { deployment: 'TEST_ONLY' as const },
    actions: [
      action('all'),
      action('linux', { operatingSystem: 'linux' }),
      action('windows', { operatingSystem: 'windows' }),
    ],
  }
  const server = withTemplates(testServer(), { replication: undefined, launch })
  expect(server.postLaunch).toEqual({ actions: [action('all'), action('linux')] })
  expect(server.launchConfiguration.postLaunchActions).toEqual({ deployment: 'TEST_ONLY' })
})
