/**
 * The replication configuration of a server: the throttle that a running agent follows, and where the staging area is.
 * @module
 */
import type { StagingChoices } from '../../../domain/launch.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { WrongField } from '../mgn_error.ts'
import { z } from 'zod'
import { standardInstanceType } from '../../../domain/launch.ts'
import { findServer } from '../../queries.ts'
import { changeReplicationConfiguration } from '../../replication_settings.ts'
import { ofAccount, sourceServerID, tags } from '../fields.ts'
import { wrongFields } from '../mgn_error.ts'
import { operation } from '../operation.ts'

const stagingDiskTypes = ['AUTO', 'GP2', 'IO1', 'SC1', 'ST1', 'STANDARD', 'GP3', 'IO2'] as const

/** Members that configurations and their templates share. */
export const configurationMembers = {
  stagingAreaSubnetId: z
    .string()
    .max(255)
    .regex(/^subnet-[0-9a-fA-F]{8,}$/, 'must be the id of a subnet'),
  associateDefaultSecurityGroup: z.boolean(),
  replicationServersSecurityGroupsIDs: z
    .array(
      z
        .string()
        .max(255)
        .regex(/^sg-[0-9a-fA-F]{8,}$/, 'must be the id of a security group'),
    )
    .max(32),
  replicationServerInstanceType: z.string().max(255),
  useDedicatedReplicationServer: z.boolean(),
  defaultLargeStagingDiskType: z.enum(['GP2', 'ST1', 'GP3']),
  ebsEncryption: z.enum(['DEFAULT', 'CUSTOM']),
  ebsEncryptionKeyArn: z.string().min(20).max(2048),
  bandwidthThrottling: z.int().min(0).max(10_000),
  dataPlaneRouting: z.enum(['PRIVATE_IP', 'PUBLIC_IP']),
  createPublicIP: z.boolean(),
  stagingAreaTags: tags,
  useFipsEndpoint: z.boolean(),
  internetProtocol: z.enum(['IPV4', 'IPV6']),
  storeSnapshotOnLocalZone: z.boolean(),
}

/** Members that promise what the local cloud has not: they are refused rather than believed. */
interface Promises {
  ebsEncryption?: 'DEFAULT' | 'CUSTOM' | undefined
  ebsEncryptionKeyArn?: string | undefined
  createPublicIP?: boolean | undefined
  useFipsEndpoint?: boolean | undefined
  internetProtocol?: 'IPV4' | 'IPV6' | undefined
  storeSnapshotOnLocalZone?: boolean | undefined
}

/** @throws MgnError naming what the local cloud cannot do. */
export function refusePromises(input: Promises): void {
  const wrong: WrongField[] = []
  const refuse = (name: keyof Promises, what: string) =>
    wrong.push({ name, message: `the local cloud ${what}; leave it out` })
  if (input.ebsEncryption === 'CUSTOM') refuse('ebsEncryption', 'has no keys of its own for staging volumes')
  if (input.ebsEncryptionKeyArn !== undefined)
    refuse('ebsEncryptionKeyArn', 'has no keys of its own for staging volumes')
  if (input.createPublicIP === true) refuse('createPublicIP', 'gives replication servers no public address')
  if (input.useFipsEndpoint === true) refuse('useFipsEndpoint', 'has no FIPS endpoints')
  if (input.internetProtocol === 'IPV6') refuse('internetProtocol', 'has no staging area with IPv6 alone')
  if (input.storeSnapshotOnLocalZone === true) refuse('storeSnapshotOnLocalZone', 'has no local zones')
  if (wrong.length > 0) throw wrongFields(wrong)
}

/** What is shown where nobody has chosen: the local cloud has one kind of everything. */
export const standardChoices: Required<Omit<StagingChoices, 'name'>> = {
  stagingAreaSubnetId: 'subnet-00000000',
  associateDefaultSecurityGroup: true,
  replicationServersSecurityGroupsIDs: [],
  replicationServerInstanceType: standardInstanceType,
  defaultLargeStagingDiskType: 'GP3',
  dataPlaneRouting: 'PRIVATE_IP',
}

/** The choices among the members of an input. */
export function choicesOf(input: {
  [Name in keyof StagingChoices]?: StagingChoices[Name] | undefined
}): StagingChoices {
  const names = ['name', ...(Object.keys(standardChoices) as (keyof StagingChoices)[])] as const
  const given = names.flatMap((name) => (input[name] === undefined ? [] : [[name, input[name]]]))
  return Object.fromEntries(given) as StagingChoices
}

/** The shape ReplicationConfiguration. */
export function mgnReplicationConfiguration(server: SourceServer): object {
  const { sourceServerId, replicationConfiguration: own, disks } = server
  return {
    sourceServerID: sourceServerId,
    name: `Data Replication Configuration for Source Server ${sourceServerId}`,
    ...standardChoices,
    ...own.stagingChoices,
    useDedicatedReplicationServer: own.useDedicatedReplicationServer,
    replicatedDisks: disks.map(({ deviceName, isBootDisk }) => ({
      deviceName,
      isBootDisk,
      stagingDiskType: 'AUTO',
    })),
    ebsEncryption: 'DEFAULT',
    bandwidthThrottling: own.bandwidthThrottlingMbps,
    createPublicIP: false,
    stagingAreaTags: own.stagingAreaTags,
    useFipsEndpoint: false,
  }
}

const partialMembers = z.object(configurationMembers).partial()

const updateInput = partialMembers.extend({
  sourceServerID,
  name: z.string().max(128).optional(),
  replicatedDisks: z
    .array(
      z.object({
        deviceName: z.string().max(256).optional(),
        isBootDisk: z.boolean().optional(),
        stagingDiskType: z.enum(stagingDiskTypes).optional(),
        iops: z.int().min(0).optional(),
        throughput: z.int().min(0).optional(),
      }),
    )
    .max(60)
    .optional(),
  ...ofAccount,
})

type Update = z.infer<typeof updateInput>

/** @throws MgnError for disks that the server has not, and for kinds of volumes that the local cloud has not. */
function refuseDisks(server: SourceServer, wanted: Update['replicatedDisks']): void {
  const wrong: WrongField[] = []
  for (const [index, disk] of (wanted ?? []).entries()) {
    const { deviceName, isBootDisk, stagingDiskType = 'AUTO', iops, throughput } = disk
    const name = `replicatedDisks.${index}`
    const known = server.disks.find((one) => one.deviceName === deviceName)
    if (deviceName !== undefined && known === undefined)
      wrong.push({
        name: `${name}.deviceName`,
        message: `${server.sourceServerId} replicates no ${deviceName}`,
      })
    if (isBootDisk !== undefined && known !== undefined && isBootDisk !== known.isBootDisk)
      wrong.push({
        name: `${name}.isBootDisk`,
        message: `must be ${known.isBootDisk}: the agent finds out which disk the server boots from`,
      })
    if (stagingDiskType !== 'AUTO' || iops !== undefined || throughput !== undefined)
      wrong.push({ name, message: 'the local cloud has one kind of volume only: AUTO' })
  }
  if (wrong.length > 0) throw wrongFields(wrong)
}

export const replicationConfigurationOperations = [
  operation({
    name: 'GetReplicationConfiguration',
    status: 200,
    input: z.object({ sourceServerID, ...ofAccount }),
    async run({ services }, { sourceServerID: id }) {
      return mgnReplicationConfiguration(await findServer(services.store, id))
    },
  }),
  operation({
    name: 'UpdateReplicationConfiguration',
    status: 200,
    input: updateInput,
    async run({ services, caller }, input) {
      const server = await findServer(services.store, input.sourceServerID)
      refusePromises(input)
      refuseDisks(server, input.replicatedDisks)
      const choices = choicesOf(input)
      const { useDedicatedReplicationServer, stagingAreaTags, bandwidthThrottling } = input
      const change = {
        ...(bandwidthThrottling === undefined ? {} : { bandwidthThrottlingMbps: bandwidthThrottling }),
        ...(useDedicatedReplicationServer === undefined ? {} : { useDedicatedReplicationServer }),
        ...(stagingAreaTags === undefined ? {} : { stagingAreaTags }),
        ...(Object.keys(choices).length === 0 ? {} : { stagingChoices: choices }),
      }
      return mgnReplicationConfiguration(
        await changeReplicationConfiguration(services, server.sourceServerId, change, caller.actor),
      )
    },
  }),
]
