import {
  ChangeServerLifeCycleStateCommand,
  ConflictException,
  CreateLaunchConfigurationTemplateCommand,
  DeleteJobCommand,
  DescribeJobLogItemsCommand,
  DescribeJobsCommand,
  FinalizeCutoverCommand,
  GetLaunchConfigurationCommand,
  ListSourceServerActionsCommand,
  ListTemplateActionsCommand,
  PutSourceServerActionCommand,
  PutTemplateActionCommand,
  RemoveSourceServerActionCommand,
  RemoveTemplateActionCommand,
  ResourceNotFoundException,
  UpdateLaunchConfigurationCommand,
  UpdateLaunchConfigurationTemplateCommand,
  ValidationException,
} from '@aws-sdk/client-mgn'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { newJob } from '../../../../domain/job.ts'
import type { JobId } from '../../../../domain/ids.ts'
import { maxActions } from '../../../../domain/post_launch_action.ts'
import type { SourceServer } from '../../../../domain/source_server.ts'
import { putServer } from '../callers.ts'
import type { MgnService } from './mgn_service.ts'
import { mgnService, readyServer, refusalOf } from './mgn_service.ts'

let service: MgnService

beforeEach(async () => {
  service = await mgnService()
})

afterEach(() => service.close())

const commands = { commands: [{ parameterType: 'STRING' as const, parameterName: 'setup-1' }] }

/** What may be given of an action. */
interface Given {
  actionID: string
  actionName: string
  documentIdentifier: string
  order: number
  parameters: Record<string, { parameterType: 'STRING'; parameterName: string }[]>
  documentVersion?: string
  active?: boolean
  timeoutSeconds?: number
  mustSucceedForCutover?: boolean
  description?: string
  category?: 'VALIDATION'
  externalParameters?: Record<string, { dynamicPath: string }>
}

/** The smallest action that can be run. */
function action(actionID: string, own: Partial<Given> = {}): Given {
  return {
    actionID,
    actionName: `name of ${actionID}`,
    documentIdentifier: 'AWS-RunShellScript',
    order: 1001,
    parameters: commands,
    ...own,
  }
}

/** The same with what is left out. */
const whole = {
  documentVersion: '$DEFAULT',
  active: true,
  timeoutSeconds: 3600,
  mustSucceedForCutover: false,
}

const put = (sourceServerID: string, own: ReturnType<typeof action>) =>
  service.client.send(new PutSourceServerActionCommand({ sourceServerID, ...own }))

describe('actions of a server', () => {
  it('are put, listed in their order, changed and removed', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const made = await put(sourceServerID, action('b', { order: 2000 }))
    expect(made).toMatchObject({ ...action('b', { order: 2000 }), ...whole })
    expect(made.$metadata.httpStatusCode).toBe(200)
    const most = {
      active: false,
      timeoutSeconds: 5,
      mustSucceedForCutover: true,
      documentVersion: '1',
      description: 'Says (once): done; #1',
      category: 'VALIDATION' as const,
      externalParameters: { workingDirectory: { dynamicPath: 'tags.folder' } },
    }
    await put(sourceServerID, action('a', { order: 2000, ...most }))
    await put(sourceServerID, action('z', { order: 1500 }))
    const list = (own: object = {}) =>
      service.client.send(new ListSourceServerActionsCommand({ sourceServerID, ...own }))
    expect((await list()).items).toEqual([
      { ...action('z', { order: 1500 }), ...whole },
      action('a', { order: 2000, ...most }),
      { ...action('b', { order: 2000 }), ...whole },
    ])
    const { items, nextToken } = await list({ maxResults: 2 })
    expect(items).toHaveLength(2)
    expect((await list({ maxResults: 2, nextToken })).items?.map(({ actionID }) => actionID)).toEqual(['b'])
    expect((await list({ filters: { actionIDs: ['b', 'c'] } })).items).toHaveLength(1)
    await put(sourceServerID, action('b', { order: 1001 }))
    expect((await list()).items?.map(({ actionID }) => actionID)).toEqual(['b', 'z', 'a'])
    const remove = new RemoveSourceServerActionCommand({ sourceServerID, actionID: 'b' })
    expect((await service.client.send(remove)).$metadata.httpStatusCode).toBe(204)
    const again = await refusalOf(service.client.send(remove))
    expect(again).toBeInstanceOf(ResourceNotFoundException)
    expect(again).toMatchObject({ resourceId: 'b', resourceType: 'Action' })
  })

  it.each([
    ['documentIdentifier', { documentIdentifier: 'AWS-InstallApplication' }, /AWS-RunShellScript/],
    ['documentVersion', { documentVersion: '7' }, /one version/],
    ['parameters', { parameters: {} }, /commands/],
    [
      'parameters',
      { parameters: commands, externalParameters: { shell: { dynamicPath: 'tags.a' } } },
      /shell/,
    ],
    ['externalParameters', { externalParameters: { commands: { dynamicPath: 'tags.a' } } }, /give it once/],
    [
      'externalParameters.workingDirectory.dynamicPath',
      { externalParameters: { workingDirectory: { dynamicPath: 'agent.secret' } } },
      /sourceProperties.identificationHints.hostname/,
    ],
    ['order', { order: 1000 }, /./],
    ['timeoutSeconds', { timeoutSeconds: 172_801 }, /./],
    ['actionID', { actionID: 'a-' }, /letter or digit/],
    ['actionName', { actionName: ' a' }, /space/],
    ['description', { description: '<b>' }, /./],
  ])('name %s when it is wrong: %#', async (name, own, words) => {
    const { sourceServerId } = await readyServer(service)
    const refused = await refusalOf(put(sourceServerId, action('a', own)))
    expect(refused).toBeInstanceOf(ValidationException)
    expect(refused).toMatchObject({ fieldList: [{ name, message: expect.stringMatching(words) }] })
  })

  it(`are ${maxActions} at most, and not too large together`, async () => {
    const { sourceServerId } = await readyServer(service)
    await putServer(service.gateway, sourceServerId, (server) => ({
      ...server,
      postLaunch: {
        actions: Array.from({ length: maxActions }, (_, index) => ({ ...action(`a${index}`), ...whole })),
      },
    }))
    expect(await refusalOf(put(sourceServerId, action('more')))).toBeInstanceOf(ConflictException)
    // One that is there may still be changed, but for one that is too large.
    await put(sourceServerId, action('a7', { order: 5000 }))
    const references = Array.from({ length: 10 }, (_, index) => ({
      parameterType: 'STRING' as const,
      parameterName: `${'x'.repeat(500)}${index}`,
    }))
    const large = { commands: references, workingDirectory: references, executionTimeout: references }
    await putServer(service.gateway, sourceServerId, (server) => ({ ...server, postLaunch: { actions: [] } }))
    for (const id of ['a', 'b', 'c']) await put(sourceServerId, action(id, { parameters: large }))
    const refused = await refusalOf(put(sourceServerId, action('e', { parameters: large })))
    expect(refused).toBeInstanceOf(ConflictException)
    expect((refused as Error).message).toContain('65536 bytes')
  })

  it('are those of servers that there are', async () => {
    const refused = await refusalOf(put('s-00000000000000001', action('a')))
    expect(refused).toBeInstanceOf(ResourceNotFoundException)
  })
})

describe('actions of a template', () => {
  it('are taken over by servers made later, as the settings are', async () => {
    const document = { actionName: 'first', ssmDocumentName: 'AWS-RunShellScript', parameters: commands }
    const { launchConfigurationTemplateID, ...made } = await service.client.send(
      new CreateLaunchConfigurationTemplateCommand({ postLaunchActions: { ssmDocuments: [document] } }),
    )
    expect(made.postLaunchActions).toEqual({ deployment: 'TEST_AND_CUTOVER', ssmDocuments: [document] })
    const updated = await service.client.send(
      new UpdateLaunchConfigurationTemplateCommand({
        launchConfigurationTemplateID,
        postLaunchActions: { deployment: 'CUTOVER_ONLY' },
      }),
    )
    const settings = { deployment: 'CUTOVER_ONLY', ssmDocuments: [document] }
    expect(updated.postLaunchActions).toEqual(settings)
    for (const [id, operatingSystem] of [
      ['a', 'linux'],
      ['b', undefined],
      ['gone', undefined],
    ] as const) {
      const system = operatingSystem === undefined ? {} : { operatingSystem }
      const own = { launchConfigurationTemplateID, ...action(id), ...system }
      expect(await service.client.send(new PutTemplateActionCommand(own))).toMatchObject(whole)
    }
    const windows = { launchConfigurationTemplateID, ...action('w'), operatingSystem: 'windows' }
    expect(await refusalOf(service.client.send(new PutTemplateActionCommand(windows)))).toMatchObject({
      fieldList: [{ name: 'operatingSystem' }],
    })
    const remove = new RemoveTemplateActionCommand({ launchConfigurationTemplateID, actionID: 'gone' })
    await service.client.send(remove)
    expect(await refusalOf(service.client.send(remove))).toBeInstanceOf(ResourceNotFoundException)
    const list = new ListTemplateActionsCommand({ launchConfigurationTemplateID })
    expect((await service.client.send(list)).items).toEqual([
      { ...action('a'), ...whole, operatingSystem: 'linux' },
      { ...action('b'), ...whole },
    ])
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const ofServer = await service.client.send(new ListSourceServerActionsCommand({ sourceServerID }))
    expect(ofServer.items).toEqual([
      { ...action('a'), ...whole },
      { ...action('b'), ...whole },
    ])
    const launch = await service.client.send(new GetLaunchConfigurationCommand({ sourceServerID }))
    expect(launch.postLaunchActions).toEqual(settings)
  })
})

it('a launch configuration has documents and a deployment, and refuses what nothing runs', async () => {
  const { sourceServerId: sourceServerID } = await readyServer(service)
  const update = (postLaunchActions: object) =>
    service.client.send(new UpdateLaunchConfigurationCommand({ sourceServerID, postLaunchActions }))
  const document = { actionName: 'one', ssmDocumentName: 'AWS-RunShellScript', parameters: commands }
  expect((await update({ ssmDocuments: [document] })).postLaunchActions).toEqual({
    deployment: 'TEST_AND_CUTOVER',
    ssmDocuments: [document],
  })
  expect((await update({ deployment: 'TEST_ONLY' })).postLaunchActions).toEqual({
    deployment: 'TEST_ONLY',
    ssmDocuments: [document],
  })
  expect((await update({ ssmDocuments: [] })).postLaunchActions?.ssmDocuments).toEqual([])
  expect(await refusalOf(update({ cloudWatchLogGroupName: 'logs' }))).toMatchObject({
    fieldList: [{ name: 'postLaunchActions.cloudWatchLogGroupName' }],
  })
  const wrong = { ssmDocuments: [document, { ...document, ssmDocumentName: 'AWSMigration-Other' }] }
  expect(await refusalOf(update(wrong))).toMatchObject({
    fieldList: [{ name: 'postLaunchActions.ssmDocuments.1.ssmDocumentName' }],
  })
})

describe('a launch that runs actions', () => {
  const jobId = 'mgnjob-00000000000000001' as JobId

  /** A server whose machine was launched, with an action that must succeed and did not. */
  async function afterLaunch(purpose: 'TEST' | 'CUTOVER'): Promise<string> {
    const { sourceServerId } = await readyServer(service)
    const own = { ...action('check'), ...whole, mustSucceedForCutover: true }
    const failureReason = 'It ended with exit code 3'
    const outcome = {
      key: 'action/check',
      actionName: own.actionName,
      status: 'FAILED',
      failureReason,
    } as const
    await putServer(service.gateway, sourceServerId, (server): SourceServer => ({
      ...server,
      postLaunch: { actions: [own], lastRuns: { [purpose]: [outcome] } },
      lifecycle: { ...server.lifecycle, state: purpose === 'TEST' ? 'TESTING' : 'CUTTING_OVER' },
      launchedInstance: {
        machineId: 'm-00000000000000001' as never,
        imageId: 'img-00000000000000001' as never,
        snapshotIds: [],
        jobId,
        purpose,
        launchedAt: '2026-03-01T12:00:00.000Z',
        firstBoot: 'SUCCEEDED',
      },
    }))
    return sourceServerId
  }

  it('tells of each one in its job, and its log has MGN’s lines alone', async () => {
    const sourceServerId = (await afterLaunch('TEST')) as SourceServer['sourceServerId']
    const { store } = service.gateway
    const job = newJob({
      jobId,
      initiatedBy: 'START_TEST',
      actor: 'test',
      at: '2026-03-01T12:00:00.000Z',
      sourceServerIds: [sourceServerId],
    })
    const part = { sourceServerId, launchStatus: 'LAUNCHED', hasActions: true } as const
    await store.create('job', { id: jobId }, { ...job, status: 'COMPLETED', participatingServers: [part] })
    const run = { documentIdentifier: 'AWS-RunShellScript', timeoutSeconds: 60, mustSucceedForCutover: true }
    await store.create(
      'launchRuns',
      { parent: jobId, id: sourceServerId },
      {
        jobId,
        sourceServerId,
        discoveredAt: '2026-03-01T12:05:00.000Z',
        runs: [
          {
            ...run,
            key: '1',
            actionName: 'one',
            status: 'SUCCESS',
            executionId: 'cmd-1',
            parameters: commands,
          },
          { ...run, key: '2', actionName: 'two', status: 'FAILED', failureReason: 'No' },
          { ...run, key: '3', actionName: 'three', status: 'IN_PROGRESS', executionId: 'cmd-3' },
          { ...run, key: '4', actionName: 'four', status: 'WAITING' },
        ],
      },
    )
    const { items } = await service.client.send(new DescribeJobsCommand({ filters: { jobIDs: [jobId] } }))
    const document = (actionName: string, own: object = {}) => ({
      actionName,
      ssmDocumentName: 'AWS-RunShellScript',
      timeoutSeconds: 60,
      mustSucceedForCutover: true,
      parameters: {},
      externalParameters: {},
      ...own,
    })
    const ssmDocumentType = 'COMMAND'
    expect(items?.[0]?.participatingServers?.[0]?.postLaunchActionsStatus).toEqual({
      ssmAgentDiscoveryDatetime: '2026-03-01T12:05:00.000000+00:00',
      postLaunchActionsLaunchStatusList: [
        {
          ssmDocument: document('one', { parameters: commands }),
          ssmDocumentType,
          executionID: 'cmd-1',
          executionStatus: 'SUCCESS',
        },
        { ssmDocument: document('two'), ssmDocumentType, executionStatus: 'FAILED', failureReason: 'No' },
        {
          ssmDocument: document('three'),
          ssmDocumentType,
          executionID: 'cmd-3',
          executionStatus: 'IN_PROGRESS',
        },
      ],
    })
    for (const event of ['JOB_START', 'ACTION_START', 'ACTION_END', 'JOB_END'] as const) {
      const at = '2026-03-01T12:00:00.000Z'
      await store.create(
        'jobLog',
        { parent: jobId, id: event },
        { jobId, logId: event, at, event, message: '' },
      )
    }
    const log = await service.client.send(new DescribeJobLogItemsCommand({ jobID: jobId }))
    expect(log.items?.map(({ event }) => event).toSorted()).toEqual(['JOB_END', 'JOB_START'])
    await service.client.send(new DeleteJobCommand({ jobID: jobId }))
    expect((await store.list('launchRuns', { parent: jobId })).items).toEqual([])
  })

  it('holds up READY_FOR_CUTOVER until what must succeed has, or must not any more', async () => {
    const sourceServerID = await afterLaunch('TEST')
    const mark = () =>
      service.client.send(
        new ChangeServerLifeCycleStateCommand({ sourceServerID, lifeCycle: { state: 'READY_FOR_CUTOVER' } }),
      )
    const refused = await refusalOf(mark())
    expect(refused).toBeInstanceOf(ConflictException)
    expect((refused as Error).message).toContain(
      '“name of check”, which must succeed, failed in the last test',
    )
    await put(sourceServerID, action('check', { mustSucceedForCutover: false }))
    expect(await mark()).toMatchObject({ lifeCycle: { state: 'READY_FOR_CUTOVER' } })
  })

  it('holds up the end of a cutover', async () => {
    const sourceServerID = await afterLaunch('CUTOVER')
    const finalize = () => service.client.send(new FinalizeCutoverCommand({ sourceServerID }))
    const refused = await refusalOf(finalize())
    expect(refused).toBeInstanceOf(ConflictException)
    expect((refused as Error).message).toContain('It ended with exit code 3')
    await service.client.send(new RemoveSourceServerActionCommand({ sourceServerID, actionID: 'check' }))
    expect(await finalize()).toMatchObject({ sourceServerID })
  })
})
