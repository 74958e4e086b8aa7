/**
 * Replication configuration templates: what replication of new servers begins with. The newest counts.
 * @module
 */
import type { ReplicationTemplate } from '../../../domain/template.ts'
import type { MgnContext } from '../operation.ts'
import { z } from 'zod'
import { NotFoundError } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'
import { listAll } from '../../../store/listing.ts'
import { mutate } from '../../../store/mutate.ts'
import { arnOf } from '../account.ts'
import { paging, replicationConfigurationTemplateID, tags } from '../fields.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { requireQuota } from '../quota.ts'
import { choicesOf, configurationMembers, refusePromises } from './replication_configuration.ts'

const kind = 'replication-configuration-template'

const optionalOnCreate = {
  ebsEncryptionKeyArn: true,
  useFipsEndpoint: true,
  internetProtocol: true,
  storeSnapshotOnLocalZone: true,
} as const

const createInput = z.object(configurationMembers).partial(optionalOnCreate).extend({ tags: tags.optional() })

/** The shape ReplicationConfigurationTemplate. */
function show({ account }: MgnContext, template: ReplicationTemplate): object {
  const { replicationTemplateId } = template
  return {
    replicationConfigurationTemplateID: replicationTemplateId,
    arn: arnOf(account, kind, replicationTemplateId),
    ...template.choices,
    useDedicatedReplicationServer: template.useDedicatedReplicationServer,
    ebsEncryption: 'DEFAULT',
    bandwidthThrottling: template.bandwidthThrottlingMbps,
    createPublicIP: false,
    stagingAreaTags: template.stagingAreaTags,
    useFipsEndpoint: false,
    tags: template.tags,
  }
}

/** @throws NotFoundError. */
async function find({ services }: MgnContext, id: string): Promise<ReplicationTemplate> {
  const found = await services.store.get('replicationTemplate', { id })
  if (found === undefined) throw new NotFoundError('ReplicationConfigurationTemplate', id)
  return found.value
}

export const replicationTemplateOperations = [
  operation({
    name: 'CreateReplicationConfigurationTemplate',
    status: 201,
    input: createInput,
    async run(context, input) {
      refusePromises(input)
      const { services, account } = context
      requireQuota(
        'replicationTemplates',
        account,
        (await listAll(services.store, 'replicationTemplate')).length + 1,
      )
      const replicationTemplateId = newId('replicationTemplate', services.random)
      const template: ReplicationTemplate = {
        replicationTemplateId,
        createdAt: services.clock().toISOString(),
        tags: input.tags ?? {},
        choices: {
          stagingAreaSubnetId: input.stagingAreaSubnetId,
          associateDefaultSecurityGroup: input.associateDefaultSecurityGroup,
          replicationServersSecurityGroupsIDs: input.replicationServersSecurityGroupsIDs,
          replicationServerInstanceType: input.replicationServerInstanceType,
          defaultLargeStagingDiskType: input.defaultLargeStagingDiskType,
          dataPlaneRouting: input.dataPlaneRouting,
        },
        useDedicatedReplicationServer: input.useDedicatedReplicationServer,
        bandwidthThrottlingMbps: input.bandwidthThrottling,
        stagingAreaTags: input.stagingAreaTags,
      }
      await services.store.create('replicationTemplate', { id: replicationTemplateId }, template)
      return show(context, template)
    },
  }),
  operation({
    name: 'UpdateReplicationConfigurationTemplate',
    status: 200,
    input: z
      .object(configurationMembers)
      .partial()
      .extend({ replicationConfigurationTemplateID, arn: z.string().min(20).max(2048).optional() }),
    async run(context, input) {
      refusePromises(input)
      const { replicationTemplateId: id } = await find(context, input.replicationConfigurationTemplateID)
      const { value } = await mutate(context.services.store, 'replicationTemplate', { id }, (known) => ({
        ...known,
        choices: { ...known.choices, ...choicesOf(input) },
        useDedicatedReplicationServer:
          input.useDedicatedReplicationServer ?? known.useDedicatedReplicationServer,
        bandwidthThrottlingMbps: input.bandwidthThrottling ?? known.bandwidthThrottlingMbps,
        stagingAreaTags: input.stagingAreaTags ?? known.stagingAreaTags,
      }))
      return show(context, value)
    },
  }),
  operation({
    name: 'DescribeReplicationConfigurationTemplates',
    status: 200,
    input: z.object({
      replicationConfigurationTemplateIDs: z.array(replicationConfigurationTemplateID).max(200).optional(),
      ...paging,
    }),
    async run(context, { replicationConfigurationTemplateIDs: ids = [], ...wanted }) {
      const templates = await listAll(context.services.store, 'replicationTemplate')
      for (const id of ids) await find(context, id)
      const { items, ...next } = pageOf(
        templates.filter((one) => ids.length === 0 || ids.includes(one.replicationTemplateId)),
        ({ createdAt, replicationTemplateId }) => `${createdAt} ${replicationTemplateId}`,
        wanted,
      )
      return { items: items.map((one) => show(context, one)), ...next }
    },
  }),
  operation({
    name: 'DeleteReplicationConfigurationTemplate',
    status: 204,
    input: z.object({ replicationConfigurationTemplateID }),
    async run(context, input) {
      const { replicationTemplateId: id } = await find(context, input.replicationConfigurationTemplateID)
      await context.services.store.remove('replicationTemplate', { id })
      return undefined
    },
  }),
]
