import {
  CreateLaunchConfigurationTemplateCommand,
  CreateReplicationConfigurationTemplateCommand,
  DeleteLaunchConfigurationTemplateCommand,
  DeleteReplicationConfigurationTemplateCommand,
  DescribeLaunchConfigurationTemplatesCommand,
  DescribeReplicationConfigurationTemplatesCommand,
  GetLaunchConfigurationCommand,
  GetReplicationConfigurationCommand,
  ResourceNotFoundException,
  UpdateLaunchConfigurationTemplateCommand,
  UpdateReplicationConfigurationTemplateCommand,
} from '@aws-sdk/client-mgn'
import type { CreateReplicationConfigurationTemplateCommandInput } from '@aws-sdk/client-mgn'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MgnService } from './mgn_service.ts'
import { mgnService, post, readyServer, refusalOf } from './mgn_service.ts'

let service: MgnService

beforeEach(async () => {
  service = await mgnService()
})

afterEach(() => service.close())

/** What Terraform's resource sends. */
const template: CreateReplicationConfigurationTemplateCommandInput = {
  stagingAreaSubnetId: 'subnet-09c0e0ff84bda10da',
  associateDefaultSecurityGroup: false,
  replicationServersSecurityGroupsIDs: ['sg-0123456789abcdef0'],
  replicationServerInstanceType: 't3.small',
  useDedicatedReplicationServer: true,
  defaultLargeStagingDiskType: 'GP2',
  ebsEncryption: 'DEFAULT',
  bandwidthThrottling: 12,
  dataPlaneRouting: 'PRIVATE_IP',
  createPublicIP: false,
  stagingAreaTags: { team: 'a' },
}

describe('replication configuration templates', () => {
  it('are what new servers begin with', async () => {
    const made = await service.client.send(new CreateReplicationConfigurationTemplateCommand(template))
    expect(made).toMatchObject({ ...template, $metadata: { httpStatusCode: 201 } })
    const replicationConfigurationTemplateID = made.replicationConfigurationTemplateID ?? ''
    const changed = await service.client.send(
      new UpdateReplicationConfigurationTemplateCommand({
        replicationConfigurationTemplateID,
        bandwidthThrottling: 34,
      }),
    )
    expect(changed).toMatchObject({ ...template, bandwidthThrottling: 34 })
    const { sourceServerId: sourceServerID } = await readyServer(service)
    expect(
      await service.client.send(new GetReplicationConfigurationCommand({ sourceServerID })),
    ).toMatchObject({
      ...template,
      bandwidthThrottling: 34,
    })
    const { items } = await service.client.send(new DescribeReplicationConfigurationTemplatesCommand({}))
    expect(items).toHaveLength(1)
    await service.client.send(
      new DeleteReplicationConfigurationTemplateCommand({ replicationConfigurationTemplateID }),
    )
    const ofNone = new DescribeReplicationConfigurationTemplatesCommand({
      replicationConfigurationTemplateIDs: [replicationConfigurationTemplateID],
    })
    expect(await refusalOf(service.client.send(ofNone))).toBeInstanceOf(ResourceNotFoundException)
  })

  it('promise nothing that the cloud has not, and need every member that MGN needs', async () => {
    const encrypted = new CreateReplicationConfigurationTemplateCommand({
      ...template,
      ebsEncryption: 'CUSTOM',
    })
    expect(await refusalOf(service.client.send(encrypted))).toMatchObject({
      fieldList: [{ name: 'ebsEncryption' }],
    })
    const { bandwidthThrottling: _left, ...rest } = template
    const partial = new CreateReplicationConfigurationTemplateCommand(rest as typeof template)
    expect(await refusalOf(service.client.send(partial))).toMatchObject({
      name: 'ValidationException',
      fieldList: [{ name: 'bandwidthThrottling' }],
    })
  })
})

describe('launch configuration templates', () => {
  it('are what new servers begin with', async () => {
    const made = await service.client.send(
      new CreateLaunchConfigurationTemplateCommand({ launchDisposition: 'STOPPED', tags: { a: 'b' } }),
    )
    expect(made).toMatchObject({
      launchDisposition: 'STOPPED',
      targetInstanceTypeRightSizingMethod: 'BASIC',
      bootMode: 'USE_SOURCE',
      tags: { a: 'b' },
    })
    const launchConfigurationTemplateID = made.launchConfigurationTemplateID ?? ''
    await service.client.send(
      new UpdateLaunchConfigurationTemplateCommand({
        launchConfigurationTemplateID,
        bootMode: 'UEFI',
        licensing: { osByol: true },
      }),
    )
    const { sourceServerId: sourceServerID } = await readyServer(service)
    expect(await service.client.send(new GetLaunchConfigurationCommand({ sourceServerID }))).toMatchObject({
      launchDisposition: 'STOPPED',
      bootMode: 'UEFI',
      licensing: { osByol: true },
    })
    const list = new DescribeLaunchConfigurationTemplatesCommand({
      launchConfigurationTemplateIDs: [launchConfigurationTemplateID],
    })
    expect((await service.client.send(list)).items).toHaveLength(1)
    await service.client.send(new DeleteLaunchConfigurationTemplateCommand({ launchConfigurationTemplateID }))
    expect(await refusalOf(service.client.send(list))).toBeInstanceOf(ResourceNotFoundException)
  })

  it('promise nothing that the cloud has not', async () => {
    const command = new CreateLaunchConfigurationTemplateCommand({
      associatePublicIpAddress: true,
      largeVolumeConf: { volumeType: 'io2' },
      postLaunchActions: { deployment: 'TEST_ONLY', s3LogBucket: 'logs' },
    })
    expect(await refusalOf(service.client.send(command))).toMatchObject({
      fieldList: [{ name: 'postLaunchActions.s3LogBucket' }],
    })
    const ofOthers = new CreateLaunchConfigurationTemplateCommand({
      associatePublicIpAddress: true,
      largeVolumeConf: { volumeType: 'io2' },
    })
    expect(await refusalOf(service.client.send(ofOthers))).toMatchObject({
      fieldList: [{ name: 'associatePublicIpAddress' }, { name: 'largeVolumeConf' }],
    })
    // A client newer than this one asks for it.
    const ofKey = '{"parametersEncryptionKey":"arn:aws:kms:us-east-1:123456789012:alias/own"}'
    expect(await post(service, 'CreateLaunchConfigurationTemplate', ofKey)).toMatchObject({
      status: 400,
      body: { fieldList: [{ name: 'parametersEncryptionKey' }] },
    })
  })
})
