import {
  ArchiveApplicationCommand,
  ArchiveWaveCommand,
  AssociateApplicationsCommand,
  AssociateSourceServersCommand,
  ConflictException,
  CreateApplicationCommand,
  CreateConnectorCommand,
  CreateWaveCommand,
  DeleteApplicationCommand,
  DeleteConnectorCommand,
  DeleteWaveCommand,
  DescribeSourceServersCommand,
  DisassociateApplicationsCommand,
  DisassociateSourceServersCommand,
  ListApplicationsCommand,
  ListConnectorsCommand,
  ListTagsForResourceCommand,
  ListWavesCommand,
  ResourceNotFoundException,
  TagResourceCommand,
  UnarchiveApplicationCommand,
  UnarchiveWaveCommand,
  UpdateApplicationCommand,
  UpdateConnectorCommand,
  UpdateWaveCommand,
  ValidationException,
} from '@aws-sdk/client-mgn'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../../domain/source_server.ts'
import { putServer } from '../callers.ts'
import type { MgnService } from './mgn_service.ts'
import { mgnService, readyServer, refusalOf } from './mgn_service.ts'

let service: MgnService

beforeEach(async () => {
  service = await mgnService()
})

afterEach(() => service.close())

async function application(name: string): Promise<string> {
  const { applicationID } = await service.client.send(new CreateApplicationCommand({ name }))
  return applicationID ?? ''
}

const statusOf = async (applicationID: string) => {
  const { items = [] } = await service.client.send(
    new ListApplicationsCommand({ filters: { applicationIDs: [applicationID] } }),
  )
  return items[0]?.applicationAggregatedStatus
}

const put = (id: string, change: (server: SourceServer) => SourceServer) =>
  putServer(service.gateway, id, change)

describe('applications', () => {
  it('are made, changed, found and deleted', async () => {
    const made = await service.client.send(
      new CreateApplicationCommand({ name: 'shop', description: 'all of it', tags: { team: 'a' } }),
    )
    expect(made).toMatchObject({
      name: 'shop',
      description: 'all of it',
      isArchived: false,
      tags: { team: 'a' },
      $metadata: { httpStatusCode: 201 },
    })
    const applicationID = made.applicationID ?? ''
    expect(made.arn).toBe(`arn:aws:mgn:us-east-1:123456789012:application/${applicationID}`)
    expect(await refusalOf(application('shop'))).toMatchObject({
      name: 'ConflictException',
      resourceId: applicationID,
      resourceType: 'Application',
    })
    service.gateway.pass(5000)
    const changed = await service.client.send(new UpdateApplicationCommand({ applicationID, name: 'store' }))
    expect(changed).toMatchObject({
      name: 'store',
      description: 'all of it',
      lastModifiedDateTime: '2026-03-01T12:00:05.000000+00:00',
    })
    const other = await application('other')
    const { items } = await service.client.send(new ListApplicationsCommand({}))
    expect(items?.map(({ name }) => name)).toEqual(expect.arrayContaining(['store', 'other']))
    expect(
      (await service.client.send(new ListApplicationsCommand({ filters: { isArchived: true } }))).items,
    ).toEqual([])
    await service.client.send(new TagResourceCommand({ resourceArn: made.arn, tags: { more: 'b' } }))
    expect(
      (await service.client.send(new ListTagsForResourceCommand({ resourceArn: made.arn }))).tags,
    ).toEqual({ team: 'a', more: 'b' })
    await service.client.send(new DeleteApplicationCommand({ applicationID: other }))
    expect(
      await refusalOf(service.client.send(new UpdateApplicationCommand({ applicationID: other, name: 'x' }))),
    ).toMatchObject({ name: 'ResourceNotFoundException', resourceType: 'Application', resourceId: other })
  })

  it('have servers, whose health and progress they show', async () => {
    const applicationID = await application('shop')
    const [one, two] = [await readyServer(service, 'one'), await readyServer(service, 'two')]
    const sourceServerIDs = [one.sourceServerId as string, two.sourceServerId as string]
    expect(await statusOf(applicationID)).toMatchObject({
      healthStatus: 'HEALTHY',
      progressStatus: 'NOT_STARTED',
      totalSourceServers: 0,
    })
    await service.client.send(new AssociateSourceServersCommand({ applicationID, sourceServerIDs }))
    expect(await statusOf(applicationID)).toMatchObject({
      progressStatus: 'IN_PROGRESS',
      totalSourceServers: 2,
    })
    const { items } = await service.client.send(
      new DescribeSourceServersCommand({ filters: { applicationIDs: [applicationID] } }),
    )
    expect(items?.map((server) => server.applicationID)).toEqual([applicationID, applicationID])
    await put(one.sourceServerId, (server) => ({
      ...server,
      replication: { ...server.replication, state: 'BACKLOG' },
    }))
    expect((await statusOf(applicationID))?.healthStatus).toBe('LAGGING')
    await put(two.sourceServerId, (server) => ({
      ...server,
      replication: { ...server.replication, state: 'STALLED' },
    }))
    expect((await statusOf(applicationID))?.healthStatus).toBe('ERROR')
    const archive = new ArchiveApplicationCommand({ applicationID })
    expect(await refusalOf(service.client.send(archive))).toMatchObject({
      name: 'ConflictException',
      resourceId: applicationID,
      resourceType: 'Application',
    })
    for (const id of sourceServerIDs)
      await put(id, (server) => ({ ...server, lifecycle: { ...server.lifecycle, state: 'CUTOVER' } }))
    expect((await statusOf(applicationID))?.progressStatus).toBe('COMPLETED')
    expect((await service.client.send(archive)).isArchived).toBe(true)
    expect((await service.client.send(new UnarchiveApplicationCommand({ applicationID }))).isArchived).toBe(
      false,
    )
    const remove = new DeleteApplicationCommand({ applicationID })
    expect(await refusalOf(service.client.send(remove))).toBeInstanceOf(ConflictException)
    await service.client.send(new DisassociateSourceServersCommand({ applicationID, sourceServerIDs }))
    const again = new DisassociateSourceServersCommand({ applicationID, sourceServerIDs })
    expect(await refusalOf(service.client.send(again))).toMatchObject({
      name: 'ConflictException',
      resourceId: sourceServerIDs[0],
      resourceType: 'SourceServer',
    })
    await service.client.send(remove)
  })

  it('share no server', async () => {
    const [one, two] = [await application('one'), await application('two')]
    const { sourceServerId } = await readyServer(service)
    const to = (applicationID: string) =>
      service.client.send(
        new AssociateSourceServersCommand({ applicationID, sourceServerIDs: [sourceServerId] }),
      )
    await to(one)
    await to(one)
    expect(await refusalOf(to(two))).toMatchObject({
      name: 'ConflictException',
      resourceId: sourceServerId,
      resourceType: 'SourceServer',
    })
  })
})

describe('waves', () => {
  it('have applications, and through them servers', async () => {
    const { waveID = '', arn } = await service.client.send(new CreateWaveCommand({ name: 'first' }))
    expect(arn).toBe(`arn:aws:mgn:us-east-1:123456789012:wave/${waveID}`)
    expect(await refusalOf(service.client.send(new CreateWaveCommand({ name: 'first' })))).toBeInstanceOf(
      ConflictException,
    )
    const applicationIDs = [await application('one'), await application('two')]
    const { sourceServerId } = await readyServer(service)
    await service.client.send(
      new AssociateSourceServersCommand({
        applicationID: applicationIDs[0],
        sourceServerIDs: [sourceServerId],
      }),
    )
    await service.client.send(new AssociateApplicationsCommand({ waveID, applicationIDs }))
    const list = async () =>
      (await service.client.send(new ListWavesCommand({ filters: { waveIDs: [waveID] } }))).items?.[0]
    expect((await list())?.waveAggregatedStatus).toMatchObject({
      healthStatus: 'HEALTHY',
      progressStatus: 'IN_PROGRESS',
      totalApplications: 2,
      replicationStartedDateTime: '2026-03-01T11:50:00.000000+00:00',
    })
    const ofWave = await service.client.send(new ListApplicationsCommand({ filters: { waveIDs: [waveID] } }))
    expect(ofWave.items?.map((one) => one.waveID)).toEqual([waveID, waveID])
    expect(
      (await service.client.send(new UpdateWaveCommand({ waveID, description: 'now' }))).description,
    ).toBe('now')
    expect(await refusalOf(service.client.send(new ArchiveWaveCommand({ waveID })))).toBeInstanceOf(
      ConflictException,
    )
    expect(await refusalOf(service.client.send(new DeleteWaveCommand({ waveID })))).toBeInstanceOf(
      ConflictException,
    )
    const second = await service.client.send(new CreateWaveCommand({ name: 'second' }))
    const taken = new AssociateApplicationsCommand({ waveID: second.waveID, applicationIDs })
    expect(await refusalOf(service.client.send(taken))).toMatchObject({
      name: 'ConflictException',
      resourceId: applicationIDs[0],
      resourceType: 'Application',
    })
    await service.client.send(new DisassociateApplicationsCommand({ waveID, applicationIDs }))
    expect((await service.client.send(new ArchiveWaveCommand({ waveID }))).isArchived).toBe(true)
    expect((await service.client.send(new UnarchiveWaveCommand({ waveID }))).isArchived).toBe(false)
    await service.client.send(new DeleteWaveCommand({ waveID }))
    expect(await list()).toBeUndefined()
  })
})

describe('connectors', () => {
  it('are those of an account that has none', async () => {
    expect((await service.client.send(new ListConnectorsCommand({}))).items).toEqual([])
    const create = new CreateConnectorCommand({ name: 'one', ssmInstanceID: 'i-00000000000000001' })
    expect(await refusalOf(service.client.send(create))).toBeInstanceOf(ValidationException)
    const connectorID = 'connector-00000000000000001'
    for (const command of [
      new UpdateConnectorCommand({ connectorID }),
      new DeleteConnectorCommand({ connectorID }),
    ])
      expect(await refusalOf(service.client.send(command))).toBeInstanceOf(ResourceNotFoundException)
  })
})
