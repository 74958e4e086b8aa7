/**
 * Launch configuration templates: what launches of new servers begin with. The newest counts.
 * @module
 */
import type { LaunchTemplate } from '../../../domain/template.ts'
import type { MgnContext } from '../operation.ts'
import type { WrongField } from '../mgn_error.ts'
import { z } from 'zod'
import { NotFoundError } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'
import { listAll } from '../../../store/listing.ts'
import { mutate } from '../../../store/mutate.ts'
import { arnOf } from '../account.ts'
import { launchConfigurationTemplateID, paging, tags } from '../fields.ts'
import { wrongFields } from '../mgn_error.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { requireQuota } from '../quota.ts'
import {
  launchMembers,
  mgnPostLaunchActions,
  postLaunchOf,
  refuseLaunchPromises,
} from './launch_configuration.ts'

const volumeConf = z.object({
  volumeType: z.enum(['io1', 'io2', 'gp3', 'gp2', 'st1', 'sc1', 'standard']).optional(),
  iops: z.int().min(100).max(64_000).optional(),
  throughput: z.int().min(125).max(2000).optional(),
})

const members = {
  ...launchMembers,
  associatePublicIpAddress: z.boolean().optional(),
  smallVolumeMaxSize: z.int().min(0).optional(),
  smallVolumeConf: volumeConf.optional(),
  largeVolumeConf: volumeConf.optional(),
  enableParametersEncryption: z.boolean().optional(),
  parametersEncryptionKey: z.string().max(2048).optional(),
}

type Members = z.infer<z.ZodObject<typeof members>>

/** @throws MgnError naming what the local cloud cannot do. */
function refusePromises(input: Members): void {
  refuseLaunchPromises(input)
  const wrong: WrongField[] = []
  const refuse = (name: keyof Members, what: string) =>
    wrong.push({ name, message: `the local cloud ${what}; leave it out` })
  if (input.associatePublicIpAddress === true)
    refuse('associatePublicIpAddress', 'gives machines no public address')
  for (const name of ['smallVolumeMaxSize', 'smallVolumeConf', 'largeVolumeConf'] as const)
    if (input[name] !== undefined) refuse(name, 'has one kind of volume only')
  if (input.enableParametersEncryption === true)
    refuse('enableParametersEncryption', 'seals every parameter with a key of its own')
  if ((input.parametersEncryptionKey ?? '') !== '')
    refuse('parametersEncryptionKey', 'seals every parameter with a key of its own')
  if (wrong.length > 0) throw wrongFields(wrong)
}

/** The shape LaunchConfigurationTemplate. */
function show({ account }: MgnContext, template: LaunchTemplate): object {
  const { launchTemplateId } = template
  return {
    launchConfigurationTemplateID: launchTemplateId,
    arn: arnOf(account, 'launch-configuration-template', launchTemplateId),
    launchDisposition: template.launchDisposition,
    targetInstanceTypeRightSizingMethod: template.rightSizing,
    bootMode: template.bootMode,
    copyPrivateIp: false,
    associatePublicIpAddress: false,
    copyTags: template.copyTags,
    licensing: { osByol: template.osByol },
    enableMapAutoTagging: false,
    postLaunchActions: mgnPostLaunchActions(template.postLaunchActions),
    tags: template.tags,
  }
}

/** The template as the input changes it. */
function changed(known: LaunchTemplate, input: Members): LaunchTemplate {
  return {
    ...known,
    launchDisposition: input.launchDisposition ?? known.launchDisposition,
    rightSizing: input.targetInstanceTypeRightSizingMethod ?? known.rightSizing,
    bootMode: input.bootMode ?? known.bootMode,
    copyTags: input.copyTags ?? known.copyTags,
    osByol: input.licensing?.osByol ?? known.osByol,
    ...(input.postLaunchActions === undefined
      ? {}
      : { postLaunchActions: { ...known.postLaunchActions, ...postLaunchOf(input.postLaunchActions) } }),
  }
}

/** @throws NotFoundError. */
export async function findLaunchTemplate({ services }: MgnContext, id: string): Promise<LaunchTemplate> {
  const found = await services.store.get('launchTemplate', { id })
  if (found === undefined) throw new NotFoundError('LaunchConfigurationTemplate', id)
  return found.value
}

export const launchTemplateOperations = [
  operation({
    name: 'CreateLaunchConfigurationTemplate',
    status: 201,
    input: z.object({ ...members, tags: tags.optional() }),
    async run(context, input) {
      refusePromises(input)
      const { services, account } = context
      requireQuota('launchTemplates', account, (await listAll(services.store, 'launchTemplate')).length + 1)
      const launchTemplateId = newId('launchTemplate', services.random)
      const standard: LaunchTemplate = {
        launchTemplateId,
        createdAt: services.clock().toISOString(),
        tags: input.tags ?? {},
        launchDisposition: 'STARTED',
        rightSizing: 'BASIC',
        bootMode: 'USE_SOURCE',
        copyTags: true,
        osByol: false,
      }
      const template = changed(standard, input)
      await services.store.create('launchTemplate', { id: launchTemplateId }, template)
      return show(context, template)
    },
  }),
  operation({
    name: 'UpdateLaunchConfigurationTemplate',
    status: 200,
    input: z.object({ launchConfigurationTemplateID, ...members }),
    async run(context, input) {
      refusePromises(input)
      const { launchTemplateId: id } = await findLaunchTemplate(context, input.launchConfigurationTemplateID)
      const { value } = await mutate(context.services.store, 'launchTemplate', { id }, (known) =>
        changed(known, input),
      )
      return show(context, value)
    },
  }),
  operation({
    name: 'DescribeLaunchConfigurationTemplates',
    status: 200,
    input: z.object({
      launchConfigurationTemplateIDs: z.array(launchConfigurationTemplateID).max(200).optional(),
      ...paging,
    }),
    async run(context, { launchConfigurationTemplateIDs: ids = [], ...wanted }) {
      const templates = await listAll(context.services.store, 'launchTemplate')
      for (const id of ids) await findLaunchTemplate(context, id)
      const { items, ...next } = pageOf(
        templates.filter((one) => ids.length === 0 || ids.includes(one.launchTemplateId)),
        ({ createdAt, launchTemplateId }) => `${createdAt} ${launchTemplateId}`,
        wanted,
      )
      return { items: items.map((one) => show(context, one)), ...next }
    },
  }),
  operation({
    name: 'DeleteLaunchConfigurationTemplate',
    status: 204,
    input: z.object({ launchConfigurationTemplateID }),
    async run(context, input) {
      const { launchTemplateId: id } = await findLaunchTemplate(context, input.launchConfigurationTemplateID)
      await context.services.store.remove('launchTemplate', { id })
      return undefined
    },
  }),
]
