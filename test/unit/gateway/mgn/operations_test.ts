import {
  ChangeServerLifeCycleStateCommand,
  ConflictException,
  DeleteJobCommand,
  DeleteSourceServerCommand,
  DeleteVcenterClientCommand,
  DescribeJobLogItemsCommand,
  DescribeJobsCommand,
  DescribeSourceServersCommand,
  DescribeVcenterClientsCommand,
  DisconnectFromServiceCommand,
  FinalizeCutoverCommand,
  GetLaunchConfigurationCommand,
  GetReplicationConfigurationCommand,
  InitializeServiceCommand,
  ListManagedAccountsCommand,
  ListTagsForResourceCommand,
  MarkAsArchivedCommand,
  PauseReplicationCommand,
  ResourceNotFoundException,
  ResumeReplicationCommand,
  RetryDataReplicationCommand,
  StartCutoverCommand,
  StartReplicationCommand,
  StartTestCommand,
  StopReplicationCommand,
  TagResourceCommand,
  TerminateTargetInstancesCommand,
  UninitializedAccountException,
  UntagResourceCommand,
  UpdateLaunchConfigurationCommand,
  UpdateReplicationConfigurationCommand,
  UpdateSourceServerCommand,
  UpdateSourceServerReplicationTypeCommand,
  ValidationException,
} from '@aws-sdk/client-mgn'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../../domain/source_server.ts'
import { operations } from '../../../../gateway/mgn/operations.ts'
import { mutate } from '../../../../store/mutate.ts'
import { settleCutShort } from '../../../../gateway/server_jobs.ts'
import { putServer, serverOf } from '../callers.ts'
import type { MgnService } from './mgn_service.ts'
import { call, mgnService, post, readyServer, refusalOf } from './mgn_service.ts'

let service: MgnService

beforeEach(async () => {
  service = await mgnService()
})

afterEach(() => service.close())

/** Sends whatever command: what it answers is of no interest. */
const send = (command: unknown): Promise<unknown> =>
  service.client.send(command as DescribeSourceServersCommand)

/** The launch of a machine is over. */
function launched(server: SourceServer, purpose: 'TEST' | 'CUTOVER'): SourceServer {
  const { activeTask, ...idle } = server
  return {
    ...idle,
    launchedInstance: {
      machineId: 'm-00000000000000001' as never,
      imageId: 'img-00000000000000001' as never,
      snapshotIds: [],
      jobId: activeTask?.jobId ?? ('mgnjob-00000000000000001' as never),
      purpose,
      launchedAt: '2026-03-01T12:00:00.000Z',
      firstBoot: 'SUCCEEDED',
    },
  }
}

describe('the account', () => {
  it('refuses everything until InitializeService was called, and that may be called again', async () => {
    const fresh = await mgnService({ isInitialised: false })
    try {
      const refused = await refusalOf(fresh.client.send(new DescribeSourceServersCommand({})))
      expect(refused).toBeInstanceOf(UninitializedAccountException)
      const open = []
      for (const { name, method, path } of operations.filter((one) => one.name !== 'InitializeService')) {
        const arn = encodeURIComponent('arn:aws:mgn:us-east-1:123456789012:job/mgnjob-00000000000000001')
        const headers = { 'content-type': 'application/json' }
        const own = path.replace(':resourceArn', arn)
        const { shape } = await call(fresh, { method, path: own, headers, body: '' })
        if (shape !== 'UninitializedAccountException') open.push(name)
      }
      // As MGN's model has it: those three tell of no account.
      expect(open).toEqual(['ListTagsForResource', 'TagResource', 'UntagResource'])
      for (let count = 0; count < 2; count++) {
        const { $metadata } = await fresh.client.send(new InitializeServiceCommand({}))
        expect($metadata.httpStatusCode).toBe(204)
      }
      expect((await fresh.client.send(new DescribeSourceServersCommand({}))).items).toEqual([])
    } finally {
      await fresh.close()
    }
  })

  it('is one managed account: its own', async () => {
    const { items } = await service.client.send(new ListManagedAccountsCommand({}))
    expect(items).toEqual([{ accountId: '123456789012' }])
  })

  it('does nothing for calls that are meant for another account', async () => {
    const { sourceServerId } = await readyServer(service)
    const test = (accountID: string) =>
      service.client.send(new StartTestCommand({ sourceServerIDs: [sourceServerId], accountID }))
    expect(await refusalOf(test('999999999999'))).toMatchObject({
      name: 'ValidationException',
      fieldList: [{ name: 'accountID', message: expect.stringContaining('must be 123456789012') as string }],
    })
    expect((await serverOf(service.gateway, sourceServerId)).lifecycle.state).toBe('READY_FOR_TEST')
    const listing = new DescribeSourceServersCommand({ accountID: '999999999999' })
    expect(await refusalOf(send(listing))).toBeInstanceOf(ValidationException)
    expect((await test('123456789012')).job?.participatingServers).toHaveLength(1)
  })

  it('has no vCenter clients', async () => {
    const { items } = await service.client.send(new DescribeVcenterClientsCommand({ maxResults: 5 }))
    expect(items).toEqual([])
    const gone = new DeleteVcenterClientCommand({ vcenterClientID: 'vcc-00000000000000001' })
    expect(await refusalOf(send(gone))).toMatchObject({
      name: 'ResourceNotFoundException',
      resourceId: 'vcc-00000000000000001',
      resourceType: 'VcenterClient',
    })
  })
})

describe('source servers', () => {
  it('are described as MGN describes them', async () => {
    const { sourceServerId } = await readyServer(service)
    const { items } = await service.client.send(new DescribeSourceServersCommand({}))
    expect(items).toMatchObject([
      {
        sourceServerID: sourceServerId,
        arn: `arn:aws:mgn:us-east-1:123456789012:source-server/${sourceServerId}`,
        isArchived: false,
        replicationType: 'AGENT_BASED',
        tags: { Name: 'web-1' },
        lifeCycle: {
          state: 'READY_FOR_TEST',
          firstByteDateTime: '2026-03-01T11:50:00.000000+00:00',
          addedToServiceDateTime: '2026-03-01T12:00:00.000000+00:00',
          elapsedReplicationDuration: 'PT10M',
          lastTest: { initiated: {}, reverted: {}, finalized: {} },
        },
        dataReplicationInfo: {
          dataReplicationState: 'CONTINUOUS',
          lagDuration: 'P0D',
          replicatedDisks: [{ deviceName: '/dev/sda', backloggedStorageBytes: 0 }],
        },
        sourceProperties: { identificationHints: { hostname: 'web-1' }, os: {} },
      },
    ])
  })

  it('that can be launched have a lag, also while the live figures know of none', async () => {
    const { sourceServerId } = await readyServer(service)
    service.gateway.telemetry.read = () =>
      Promise.resolve(
        new Map([
          [
            sourceServerId,
            {
              sourceServerId,
              at: '2026-03-01T12:00:00.000Z',
              state: 'CONTINUOUS' as const,
              lagMs: null,
              backlogBytes: 0,
              bytesPerSecond: 0,
              durableBytes: 0,
              wireBytes: 0,
              rescans: 0,
              disks: [],
            },
          ],
        ]),
      )
    const { items } = await service.client.send(new DescribeSourceServersCommand({}))
    expect(items?.[0]?.dataReplicationInfo?.lagDuration).toBe('P0D')
  })

  it('are filtered, and given page by page, each once', async () => {
    const made = [
      await readyServer(service, 'a'),
      await readyServer(service, 'b'),
      await readyServer(service, 'c'),
    ]
    const ids = made.map(({ sourceServerId }) => sourceServerId as string)
    const seen: (string | undefined)[] = []
    let nextToken: string | undefined
    do {
      const page = await service.client.send(
        new DescribeSourceServersCommand({
          maxResults: 2,
          ...(nextToken === undefined ? {} : { nextToken }),
        }),
      )
      seen.push(...(page.items ?? []).map(({ sourceServerID }) => sourceServerID))
      nextToken = page.nextToken
    } while (nextToken !== undefined)
    expect(new Set(seen)).toEqual(new Set(ids))
    expect(seen).toHaveLength(3)
    const of = async (filters: object) => {
      const { items = [] } = await service.client.send(new DescribeSourceServersCommand({ filters }))
      return items.map(({ sourceServerID }) => sourceServerID)
    }
    expect(await of({ sourceServerIDs: [ids[1]] })).toEqual([ids[1]])
    expect(await of({ sourceServerIDs: [] })).toHaveLength(3)
    expect(await of({ lifeCycleStates: ['CUTOVER'] })).toEqual([])
    expect(await of({ isArchived: true })).toEqual([])
    expect(await of({ replicationTypes: ['SNAPSHOT_SHIPPING'] })).toEqual([])
    expect(await of({ applicationIDs: ['app-00000000000000001'] })).toEqual([])
  })

  it('that are named are described as they are stored, also where what is held of the fleet is older', async () => {
    const { sourceServerId } = await readyServer(service)
    const held = await service.gateway.services.fleet.list()
    await putServer(service.gateway, sourceServerId, (server) => launched(server, 'TEST'))
    service.gateway.services.fleet.list = () => Promise.resolve(held)
    const filters = { sourceServerIDs: [sourceServerId, sourceServerId, 's-00000000000000001'] }
    const { items } = await service.client.send(new DescribeSourceServersCommand({ filters }))
    expect(items).toMatchObject([
      { sourceServerID: sourceServerId, launchedInstance: { ec2InstanceID: 'm-00000000000000001' } },
    ])
  })

  it('that there are none of are not found', async () => {
    const ofNobody = { sourceServerID: 's-00000000000000001' }
    for (const command of [
      new GetReplicationConfigurationCommand(ofNobody),
      new GetLaunchConfigurationCommand(ofNobody),
      new PauseReplicationCommand(ofNobody),
      new DeleteSourceServerCommand(ofNobody),
    ]) {
      const refused = await refusalOf(send(command))
      expect(refused).toBeInstanceOf(ResourceNotFoundException)
      expect(refused).toMatchObject({ resourceId: 's-00000000000000001', resourceType: 'SourceServer' })
    }
  })

  it('that there are none of are a wrong field where the operation does not know "not found"', async () => {
    const { sourceServerId } = await readyServer(service)
    const sourceServerIDs = [sourceServerId, 's-00000000000000001']
    for (const command of [
      new StartTestCommand({ sourceServerIDs }),
      new StartCutoverCommand({ sourceServerIDs }),
      new TerminateTargetInstancesCommand({ sourceServerIDs }),
    ])
      expect(await refusalOf(send(command))).toMatchObject({
        name: 'ValidationException',
        reason: 'fieldValidationFailed',
        fieldList: [
          { name: 'sourceServerIDs', message: expect.stringContaining('s-00000000000000001') as string },
        ],
      })
    const log = new DescribeJobLogItemsCommand({ jobID: 'mgnjob-00000000000000001' })
    expect(await refusalOf(send(log))).toMatchObject({
      name: 'ValidationException',
      fieldList: [{ name: 'jobID' }],
    })
  })

  it('have an agent, no snapshots shipped and no connectors', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const same = new UpdateSourceServerReplicationTypeCommand({
      sourceServerID,
      replicationType: 'AGENT_BASED',
    })
    expect(await service.client.send(same)).toMatchObject({ replicationType: 'AGENT_BASED' })
    const other = new UpdateSourceServerReplicationTypeCommand({
      sourceServerID,
      replicationType: 'SNAPSHOT_SHIPPING',
    })
    expect(await refusalOf(send(other))).toMatchObject({
      name: 'ValidationException',
      fieldList: [{ name: 'replicationType' }],
    })
    expect(await service.client.send(new UpdateSourceServerCommand({ sourceServerID }))).toMatchObject({
      sourceServerID,
    })
    const connectorArn = 'arn:aws:mgn:us-east-1:123456789012:connector/connector-00000000000000001'
    const connected = new UpdateSourceServerCommand({ sourceServerID, connectorAction: { connectorArn } })
    expect(await refusalOf(send(connected))).toBeInstanceOf(ValidationException)
  })
})

describe('a migration', () => {
  it('goes from test to cutover by MGN’s calls, and back', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const started = await service.client.send(
      new StartTestCommand({ sourceServerIDs: [sourceServerID], tags: { ticket: '7' } }),
    )
    expect(started.$metadata.httpStatusCode).toBe(202)
    expect(started.job).toMatchObject({
      type: 'LAUNCH',
      initiatedBy: 'START_TEST',
      status: 'PENDING',
      tags: { ticket: '7' },
      participatingServers: [{ sourceServerID, launchStatus: 'PENDING' }],
    })
    const testing = await serverOf(service.gateway, sourceServerID)
    expect(testing).toMatchObject({
      lifecycle: { state: 'TESTING', lastTest: { initiated: { jobId: started.job?.jobID } } },
      activeTask: { kind: 'LAUNCH', jobId: started.job?.jobID },
    })
    expect(service.gateway.wakeUps.added.map(({ taskId }) => taskId)).toContain(testing.activeTask?.taskId)
    // Somebody has it already.
    const again = await refusalOf(send(new StartTestCommand({ sourceServerIDs: [sourceServerID] })))
    expect(again).toBeInstanceOf(ConflictException)
    const inTheWay = { resourceId: sourceServerID, resourceType: 'SourceServer' }
    expect(again).toMatchObject({ ...inTheWay, errors: [inTheWay] })
    const early = await refusalOf(send(new FinalizeCutoverCommand({ sourceServerID })))
    expect(early).toBeInstanceOf(ConflictException)
    expect(early).toMatchObject(inTheWay)

    await putServer(service.gateway, sourceServerID, (server) => launched(server, 'TEST'))
    const to = (state: 'READY_FOR_TEST' | 'READY_FOR_CUTOVER' | 'CUTOVER') =>
      service.client.send(new ChangeServerLifeCycleStateCommand({ sourceServerID, lifeCycle: { state } }))
    expect((await to('READY_FOR_CUTOVER')).lifeCycle?.state).toBe('READY_FOR_CUTOVER')
    await service.client.send(new StartCutoverCommand({ sourceServerIDs: [sourceServerID] }))
    await putServer(service.gateway, sourceServerID, (server) => launched(server, 'CUTOVER'))
    expect((await to('READY_FOR_CUTOVER')).lifeCycle?.state).toBe('READY_FOR_CUTOVER')
    await putServer(
      service.gateway,
      sourceServerID,
      ({ activeTask: _over, launchedInstance: _gone, ...server }) => server,
    )
    await service.client.send(new StartCutoverCommand({ sourceServerIDs: [sourceServerID] }))
    await putServer(service.gateway, sourceServerID, (server) => launched(server, 'CUTOVER'))
    await service.client.send(new FinalizeCutoverCommand({ sourceServerID }))
    expect((await serverOf(service.gateway, sourceServerID)).activeTask?.kind).toBe('FINALIZE')
  })

  it('begins for all of a job’s servers or for none', async () => {
    const [one, two] = [await readyServer(service, 'one'), await readyServer(service, 'two')]
    const error = { error: 'AGENT_NOT_SEEN', rawError: 'The agent is away', whatToDo: 'Start it' } as const
    await putServer(service.gateway, two.sourceServerId, (server) => ({
      ...server,
      replication: { ...server.replication, state: 'STALLED', error },
    }))
    const message =
      'A launch needs a replica that is up to date, and replication is stalled: The agent is away'
    const both = new StartTestCommand({ sourceServerIDs: [one.sourceServerId, two.sourceServerId] })
    expect(await refusalOf(send(both))).toMatchObject({
      name: 'ConflictException',
      message: `${two.sourceServerId}: ${message}`,
      errors: [
        {
          code: 'ConflictException',
          message,
          resourceId: two.sourceServerId,
          resourceType: 'SourceServer',
        },
      ],
    })
    expect((await serverOf(service.gateway, one.sourceServerId)).lifecycle.state).toBe('READY_FOR_TEST')
    await putServer(service.gateway, two.sourceServerId, (server) => ({
      ...server,
      replication: { ...server.replication, state: 'CONTINUOUS' },
    }))
    const { job } = await service.client.send(both)
    expect(job?.participatingServers).toHaveLength(2)
    for (const { sourceServerId } of [one, two])
      expect((await serverOf(service.gateway, sourceServerId)).activeTask?.jobId).toBe(job?.jobID)
    const { items } = await service.client.send(new DescribeJobsCommand({}))
    expect(items).toHaveLength(1)
  })

  it('is not begun for a server that a gateway did not come to before it died, and its job ends', async () => {
    const [one, two] = [await readyServer(service, 'one'), await readyServer(service, 'two')]
    const ids = [one.sourceServerId, two.sourceServerId]
    const { job } = await service.client.send(new StartTestCommand({ sourceServerIDs: ids }))
    const jobID = job?.jobID ?? ''
    const taskOfTwo = (await serverOf(service.gateway, two.sourceServerId)).activeTask?.taskId ?? ''
    await service.gateway.store.remove('task', { id: taskOfTwo })
    await putServer(service.gateway, two.sourceServerId, ({ activeTask: _none, ...server }) => server)
    const parts = async () =>
      (await service.gateway.store.get('job', { id: jobID }))?.value.participatingServers.map(
        ({ launchStatus }) => launchStatus,
      )
    await settleCutShort(service.gateway.services)
    expect(await parts()).toEqual(['PENDING', 'PENDING'])
    service.gateway.pass(31 * 60_000)
    // Two gateways look at the same moment: the server is told once.
    await Promise.all([1, 2].map(() => settleCutShort(service.gateway.services)))
    expect(await parts()).toEqual(['PENDING', 'FAILED'])
    // Once more changes nothing.
    await settleCutShort(service.gateway.services)
    expect(await parts()).toEqual(['PENDING', 'FAILED'])
    const told = (await serverOf(service.gateway, two.sourceServerId)).outbox.filter(
      ({ detail }) => detail['job-id'] === jobID && detail['status'] === 'COMPLETED',
    )
    expect(told.map(({ level, detail }) => [level, detail['launch-status']])).toEqual([['ERROR', 'FAILED']])
  })

  it('terminates what was launched, once nobody needs it', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const terminate = new TerminateTargetInstancesCommand({ sourceServerIDs: [sourceServerID] })
    expect(await refusalOf(send(terminate))).toBeInstanceOf(ConflictException)
    await putServer(service.gateway, sourceServerID, (server) => launched(server, 'TEST'))
    const { job } = await service.client.send(terminate)
    expect(job).toMatchObject({ type: 'TERMINATE', initiatedBy: 'TERMINATE' })
  })

  it('ends: disconnected, archived, deleted', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const archive = new MarkAsArchivedCommand({ sourceServerID })
    expect(await refusalOf(send(archive))).toBeInstanceOf(ConflictException)
    const gone = await service.client.send(new DisconnectFromServiceCommand({ sourceServerID }))
    expect(gone).toMatchObject({
      lifeCycle: { state: 'DISCONNECTED' },
      dataReplicationInfo: {
        dataReplicationState: 'DISCONNECTED',
        replicatedDisks: [{ totalStorageBytes: 0 }],
      },
    })
    expect(gone.dataReplicationInfo).not.toHaveProperty('lagDuration')
    await putServer(service.gateway, sourceServerID, ({ activeTask: _over, ...server }) => server)
    expect((await service.client.send(archive)).isArchived).toBe(true)
    await service.client.send(new DeleteSourceServerCommand({ sourceServerID }))
    const { activeTask } = await serverOf(service.gateway, sourceServerID)
    expect(activeTask?.kind).toBe('DELETE')
    // Who did not hear the answer calls again, and is told the same.
    await service.client.send(new DeleteSourceServerCommand({ sourceServerID }))
    expect((await serverOf(service.gateway, sourceServerID)).activeTask).toEqual(activeTask)
  })

  it('is paused, resumed, stopped and started', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const desired = async () => (await serverOf(service.gateway, sourceServerID)).agent.desired
    await service.client.send(new PauseReplicationCommand({ sourceServerID }))
    expect(await desired()).toBe('PAUSE')
    expect(await refusalOf(send(new PauseReplicationCommand({ sourceServerID })))).toBeInstanceOf(
      ConflictException,
    )
    await service.client.send(new ResumeReplicationCommand({ sourceServerID }))
    expect(await desired()).toBe('REPLICATE')
    // The operation declares no conflicts.
    expect(await refusalOf(send(new RetryDataReplicationCommand({ sourceServerID })))).toMatchObject({
      name: 'ValidationException',
      reason: 'other',
      message: expect.stringContaining('Cannot try replication') as string,
    })
    const stopped = await service.client.send(new StopReplicationCommand({ sourceServerID }))
    expect(stopped).toMatchObject({
      lifeCycle: { state: 'STOPPED' },
      dataReplicationInfo: { dataReplicationState: 'STOPPED' },
    })
    expect(await desired()).toBe('STOP')
    const started = await service.client.send(new StartReplicationCommand({ sourceServerID }))
    expect(started).toMatchObject({
      lifeCycle: { state: 'NOT_READY' },
      dataReplicationInfo: { dataReplicationState: 'INITIATING' },
    })
    expect(await desired()).toBe('REPLICATE')
  })
})

describe('configurations', () => {
  it('change the throttle that the agent follows, and are shown as MGN shows them', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const known = await service.client.send(new GetReplicationConfigurationCommand({ sourceServerID }))
    expect(known).toMatchObject({
      sourceServerID,
      name: `Data Replication Configuration for Source Server ${sourceServerID}`,
      bandwidthThrottling: 0,
      replicationServerInstanceType: 'local',
      replicatedDisks: [{ deviceName: '/dev/sda', isBootDisk: true, stagingDiskType: 'AUTO' }],
    })
    const changed = await service.client.send(
      new UpdateReplicationConfigurationCommand({
        sourceServerID,
        bandwidthThrottling: 300,
        useDedicatedReplicationServer: true,
        stagingAreaTags: { team: 'x' },
        stagingAreaSubnetId: 'subnet-09c0e0ff84bda10da',
      }),
    )
    expect(changed).toMatchObject({
      bandwidthThrottling: 300,
      useDedicatedReplicationServer: true,
      stagingAreaTags: { team: 'x' },
      stagingAreaSubnetId: 'subnet-09c0e0ff84bda10da',
    })
    expect((await serverOf(service.gateway, sourceServerID)).replicationConfiguration).toMatchObject({
      bandwidthThrottlingMbps: 300,
      useDedicatedReplicationServer: true,
    })
    // Two who choose different things at once both get what they chose.
    await Promise.all(
      [{ dataPlaneRouting: 'PUBLIC_IP' as const }, { replicationServerInstanceType: 'm5.large' }].map(
        (choice) =>
          service.client.send(new UpdateReplicationConfigurationCommand({ sourceServerID, ...choice })),
      ),
    )
    expect(
      await service.client.send(new GetReplicationConfigurationCommand({ sourceServerID })),
    ).toMatchObject({
      bandwidthThrottling: 300,
      stagingAreaSubnetId: 'subnet-09c0e0ff84bda10da',
      dataPlaneRouting: 'PUBLIC_IP',
      replicationServerInstanceType: 'm5.large',
    })
  })

  it('promise nothing that the cloud has not', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const promises = new UpdateReplicationConfigurationCommand({
      sourceServerID,
      ebsEncryption: 'CUSTOM',
      createPublicIP: true,
      replicatedDisks: [{ deviceName: '/dev/none', stagingDiskType: 'IO2' }],
    })
    expect(await refusalOf(send(promises))).toMatchObject({
      name: 'ValidationException',
      reason: 'fieldValidationFailed',
      fieldList: [{ name: 'ebsEncryption' }, { name: 'createPublicIP' }],
    })
    const disks = new UpdateReplicationConfigurationCommand({
      sourceServerID,
      replicatedDisks: [{ deviceName: '/dev/none', stagingDiskType: 'IO2' }],
    })
    expect(await refusalOf(send(disks))).toMatchObject({
      fieldList: [{ name: 'replicatedDisks.0.deviceName' }, { name: 'replicatedDisks.0' }],
    })
    const boot = (isBootDisk: boolean) =>
      new UpdateReplicationConfigurationCommand({
        sourceServerID,
        replicatedDisks: [{ deviceName: '/dev/sda', isBootDisk }],
      })
    expect(await refusalOf(send(boot(false)))).toMatchObject({
      fieldList: [{ name: 'replicatedDisks.0.isBootDisk' }],
    })
    expect((await service.client.send(boot(true))).replicatedDisks).toMatchObject([{ isBootDisk: true }])
    const address = new UpdateLaunchConfigurationCommand({ sourceServerID, copyPrivateIp: true })
    expect(await refusalOf(send(address))).toMatchObject({ fieldList: [{ name: 'copyPrivateIp' }] })
  })

  it('say how machines are launched', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    const changed = await service.client.send(
      new UpdateLaunchConfigurationCommand({
        sourceServerID,
        name: 'shop',
        launchDisposition: 'STOPPED',
        targetInstanceTypeRightSizingMethod: 'NONE',
        bootMode: 'UEFI',
        copyTags: false,
        licensing: { osByol: true },
      }),
    )
    const wanted = {
      name: 'shop',
      launchDisposition: 'STOPPED',
      targetInstanceTypeRightSizingMethod: 'NONE',
      bootMode: 'UEFI',
      copyTags: false,
      licensing: { osByol: true },
    }
    expect(changed).toMatchObject(wanted)
    expect(await service.client.send(new GetLaunchConfigurationCommand({ sourceServerID }))).toMatchObject(
      wanted,
    )
    expect((await serverOf(service.gateway, sourceServerID)).launchConfiguration).toMatchObject({
      name: 'shop',
      bootMode: 'UEFI',
      rightSizing: 'NONE',
    })
  })
})

describe('jobs', () => {
  it('are not over before their servers know of it', async () => {
    const { sourceServerId } = await readyServer(service)
    const { job } = await service.client.send(new StartTestCommand({ sourceServerIDs: [sourceServerId] }))
    const jobID = job?.jobID ?? ''
    await mutate(service.gateway.store, 'job', { id: jobID }, (own) => ({
      ...own,
      status: 'COMPLETED' as const,
      endedAt: '2026-03-01T12:00:00.000Z',
    }))
    const shown = async () => {
      const { items = [] } = await service.client.send(new DescribeJobsCommand({}))
      return items.map(({ status, endDateTime }) => ({ status, endDateTime }))
    }
    expect(await shown()).toEqual([{ status: 'STARTED', endDateTime: undefined }])
    await putServer(service.gateway, sourceServerId, (server) => launched(server, 'TEST'))
    expect(await shown()).toEqual([{ status: 'COMPLETED', endDateTime: '2026-03-01T12:00:00.000000+00:00' }])
  })

  it('are found by id and time, with their log, and deleted when they are over', async () => {
    const { sourceServerId } = await readyServer(service)
    const { job } = await service.client.send(new StartTestCommand({ sourceServerIDs: [sourceServerId] }))
    const jobID = job?.jobID ?? ''
    const of = async (filters: object) =>
      ((await service.client.send(new DescribeJobsCommand({ filters }))).items ?? []).map((one) => one.jobID)
    expect(await of({ jobIDs: [jobID] })).toEqual([jobID])
    expect(await of({ fromDate: '2026-03-01T12:00:00Z', toDate: '2026-03-01T12:00:00Z' })).toEqual([jobID])
    expect(await of({ fromDate: '2026-03-01T12:00:01Z' })).toEqual([])
    expect(await of({ fromDate: '2026-02-28T12:00:01Z' })).toEqual([jobID])
    for (const fromDate of ['2026-02-29T12:00:01Z', '99999-01-01T00:00:00Z'])
      expect(await refusalOf(of({ fromDate }))).toMatchObject({ fieldList: [{ name: 'filters.fromDate' }] })
    const unfinished = await refusalOf(send(new DeleteJobCommand({ jobID })))
    expect(unfinished).toBeInstanceOf(ConflictException)
    expect(unfinished).toMatchObject({ resourceId: jobID, resourceType: 'Job' })
    const line = {
      jobId: jobID as never,
      logId: '1',
      at: '2026-03-01T12:00:05.000Z',
      event: 'SNAPSHOT_START' as const,
      sourceServerId,
      message: 'A snapshot is being taken',
    }
    await service.gateway.store.create('jobLog', { parent: jobID, id: `${line.at} 1` }, line)
    const { items } = await service.client.send(new DescribeJobLogItemsCommand({ jobID }))
    expect(items).toEqual([
      {
        logDateTime: '2026-03-01T12:00:05.000000+00:00',
        event: 'SNAPSHOT_START',
        eventData: { sourceServerID: sourceServerId },
      },
    ])
    const found = await service.gateway.store.get('job', { id: jobID })
    if (found === undefined) throw new Error('There is no job')
    await service.gateway.store.replace('job', { id: jobID }, found.revision, {
      ...found.value,
      status: 'COMPLETED',
    })
    await service.client.send(new DeleteJobCommand({ jobID }))
    expect(await of({})).toEqual([])
  })
})

describe('tags', () => {
  it('are read, set and taken away by ARN', async () => {
    const { sourceServerId } = await readyServer(service)
    const resourceArn = `arn:aws:mgn:us-east-1:123456789012:source-server/${sourceServerId}`
    await service.client.send(
      new TagResourceCommand({ resourceArn, tags: { team: 'a', 'with/slash&more=': 'ü' } }),
    )
    const read = async () => (await service.client.send(new ListTagsForResourceCommand({ resourceArn }))).tags
    expect(await read()).toEqual({ Name: 'web-1', team: 'a', 'with/slash&more=': 'ü' })
    await service.client.send(
      new UntagResourceCommand({ resourceArn, tagKeys: ['Name', 'with/slash&more='] }),
    )
    expect(await read()).toEqual({ team: 'a' })
    const { job } = await service.client.send(new StartTestCommand({ sourceServerIDs: [sourceServerId] }))
    await service.client.send(new TagResourceCommand({ resourceArn: job?.arn, tags: { a: 'b' } }))
    expect(
      (await service.client.send(new ListTagsForResourceCommand({ resourceArn: job?.arn }))).tags,
    ).toEqual({ a: 'b' })
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`key${index}`, 'x']))
    expect(await refusalOf(send(new TagResourceCommand({ resourceArn, tags: many })))).toMatchObject({
      fieldList: [{ name: 'tags' }],
    })
  })

  it('of another account, or of nothing, are not found', async () => {
    const { sourceServerId } = await readyServer(service)
    for (const resourceArn of [
      `arn:aws:mgn:us-east-1:999999999999:source-server/${sourceServerId}`,
      'arn:aws:mgn:us-east-1:123456789012:source-server/s-00000000000000001',
      'arn:aws:s3:::a-bucket-of-somebody',
    ])
      expect(await refusalOf(send(new ListTagsForResourceCommand({ resourceArn })))).toBeInstanceOf(
        ResourceNotFoundException,
      )
  })
})

describe('who may call', () => {
  it('is decided by role and by scope', async () => {
    const { sourceServerId: sourceServerID } = await readyServer(service)
    await service.become('viewer')
    expect((await service.client.send(new DescribeSourceServersCommand({}))).items).toHaveLength(1)
    expect(await refusalOf(send(new PauseReplicationCommand({ sourceServerID })))).toMatchObject({
      name: 'AccessDeniedException',
      $metadata: { httpStatusCode: 403 },
    })
    await service.become('admin', ['mgn:PauseReplication'])
    expect(await refusalOf(send(new DescribeSourceServersCommand({})))).toMatchObject({
      name: 'AccessDeniedException',
    })
    await service.client.send(new PauseReplicationCommand({ sourceServerID }))
  })
})

describe('bad input', () => {
  it.each([
    ['no JSON', '{', 400, 'ValidationException', 'cannotParse'],
    ['no object', '[]', 400, 'ValidationException', 'cannotParse'],
    ['text', '"a"', 400, 'ValidationException', 'cannotParse'],
    ['deep', '{"a":'.repeat(100_000 / 5), 400, 'ValidationException', 'cannotParse'],
    [
      'deep lists',
      `{"filters":${'['.repeat(90_000)}${']'.repeat(90_000)}}`,
      400,
      'ValidationException',
      'cannotParse',
    ],
    ['a field', '{"maxResults":0}', 400, 'ValidationException', 'fieldValidationFailed'],
    [
      'a deep field',
      '{"filters":{"sourceServerIDs":["s-1"]}}',
      400,
      'ValidationException',
      'fieldValidationFailed',
    ],
    ['a token', '{"nextToken":"bm9uZQ"}', 400, 'ValidationException', 'fieldValidationFailed'],
    ['too large', `{"a":"${'x'.repeat(300_000)}"}`, 413, 'RequestEntityTooLargeException', undefined],
  ])('%s is refused in the right shape', async (_name, body, status, shape, reason) => {
    const answer = await post(service, 'DescribeSourceServers', body)
    expect(answer).toMatchObject({ status, shape, body: { message: expect.any(String) as string } })
    expect(answer.body['reason']).toBe(reason)
  })

  it('names the field', async () => {
    const answer = await post(
      service,
      'DescribeSourceServers',
      '{"filters":{"sourceServerIDs":["s-1"]},"maxResults":-1}',
    )
    expect(answer.body['fieldList']).toEqual([
      { name: 'filters.sourceServerIDs.0', message: 'must be s- and 17 letters or digits' },
      { name: 'maxResults', message: expect.any(String) as string },
    ])
  })

  it('of another type, and bytes that are no text, are refused', async () => {
    const xml = await post(service, 'DescribeSourceServers', '<a/>', 'text/xml')
    expect(xml).toMatchObject({ status: 415, shape: 'UnsupportedMediaTypeException' })
    const bytes = await post(service, 'DescribeSourceServers', new Uint8Array([0x7b, 0xff, 0x7d]))
    expect(bytes).toMatchObject({ status: 400, shape: 'ValidationException' })
  })

  it('for an operation that there is none of says so', async () => {
    const answer = await post(service, 'StartMagic', '{}')
    expect(answer).toMatchObject({
      status: 400,
      shape: 'ValidationException',
      body: { reason: 'unknownOperation' },
    })
  })

  it('takes null for nothing, as AWS does', async () => {
    expect(
      await post(service, 'DescribeSourceServers', '{"filters":{"isArchived":null},"nextToken":null}'),
    ).toMatchObject({
      status: 200,
    })
    const { sourceServerId } = await readyServer(service)
    const documents = `[{"actionName":"a","ssmDocumentName":"AWS-RunShellScript","timeoutSeconds":null,
      "parameters":{"commands":[{"parameterType":"STRING","parameterName":"script"}]}}]`
    expect(
      await post(
        service,
        'UpdateLaunchConfiguration',
        `{"sourceServerID":"${sourceServerId}","postLaunchActions":{"ssmDocuments":${documents}}}`,
      ),
    ).toMatchObject({ status: 200, body: { postLaunchActions: { ssmDocuments: [{ actionName: 'a' }] } } })
  })

  it('takes null in lists and in maps for a wrong value', async () => {
    expect(await post(service, 'CreateWave', '{"name":"first","tags":{"team":null}}')).toMatchObject({
      status: 400,
      body: { fieldList: [{ name: 'tags.team' }] },
    })
    expect(
      await post(service, 'DescribeSourceServers', '{"filters":{"sourceServerIDs":[null]}}'),
    ).toMatchObject({ status: 400, body: { fieldList: [{ name: 'filters.sourceServerIDs.0' }] } })
  })

  it('in a query is refused as in a body', async () => {
    for (const maxResults of ['0', '1001', '1e2', '0x10', '', '+5', 'x']) {
      const query = { maxResults }
      const answer = await call(service, { method: 'GET', path: '/DescribeVcenterClients', query, body: '' })
      expect(answer, maxResults).toMatchObject({ status: 400, body: { fieldList: [{ name: 'maxResults' }] } })
    }
  })
})
