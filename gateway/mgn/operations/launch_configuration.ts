/**
 * The launch configuration of a server.
 * @module
 */
import type { PostLaunchSettings } from '../../../domain/post_launch_action.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { LaunchSettingsChange } from '../../launch_settings.ts'
import type { WrongField } from '../mgn_error.ts'
import { z } from 'zod'
import { changeLaunchConfiguration } from '../../launch_settings.ts'
import { findServer } from '../../queries.ts'
import type { PostLaunchInput } from '../action_fields.ts'
import { documentsOf, logPromises, postLaunchActions } from '../action_fields.ts'
import { ofAccount, sourceServerID } from '../fields.ts'
import { wrongFields } from '../mgn_error.ts'
import { operation } from '../operation.ts'

/** The shape LaunchConfiguration. */
export function mgnLaunchConfiguration({ sourceServerId, launchConfiguration: own }: SourceServer): object {
  return {
    sourceServerID: sourceServerId,
    name: own.name,
    launchDisposition: own.launchDisposition,
    targetInstanceTypeRightSizingMethod: own.rightSizing,
    copyPrivateIp: false,
    copyTags: own.copyTags ?? true,
    licensing: { osByol: own.osByol ?? false },
    bootMode: own.bootMode,
    enableMapAutoTagging: false,
    postLaunchActions: mgnPostLaunchActions(own.postLaunchActions),
  }
}

/** The shape PostLaunchActions. */
export function mgnPostLaunchActions(settings: PostLaunchSettings = {}): object {
  return { deployment: settings.deployment ?? 'TEST_AND_CUTOVER', ssmDocuments: settings.ssmDocuments ?? [] }
}

/** What of the settings the input names. @throws InvalidInputError naming the field, when nothing could run a document. */
export function postLaunchOf(input: PostLaunchInput): PostLaunchSettings {
  const { deployment, ssmDocuments } = input
  return {
    ...(deployment === undefined ? {} : { deployment }),
    ...(ssmDocuments === undefined ? {} : { ssmDocuments: documentsOf(input) }),
  }
}

/** Members that configurations and their templates share. */
export const launchMembers = {
  launchDisposition: z.enum(['STOPPED', 'STARTED']).optional(),
  targetInstanceTypeRightSizingMethod: z.enum(['NONE', 'BASIC']).optional(),
  copyPrivateIp: z.boolean().optional(),
  copyTags: z.boolean().optional(),
  licensing: z.object({ osByol: z.boolean().optional() }).optional(),
  bootMode: z.enum(['LEGACY_BIOS', 'UEFI', 'USE_SOURCE']).optional(),
  enableMapAutoTagging: z.boolean().optional(),
  mapAutoTaggingMpeID: z.string().max(256).optional(),
  postLaunchActions: postLaunchActions.optional(),
}

const updateInput = z.object({
  sourceServerID,
  name: z.string().max(128).optional(),
  ...launchMembers,
  ...ofAccount,
})

type Update = z.infer<typeof updateInput>

/** @throws MgnError naming what the local cloud cannot do. */
export function refuseLaunchPromises(input: z.infer<z.ZodObject<typeof launchMembers>>): void {
  const wrong: WrongField[] = []
  if (input.copyPrivateIp === true)
    wrong.push({
      name: 'copyPrivateIp',
      message: 'machines of the local cloud have a network of their own; leave it out',
    })
  if (input.enableMapAutoTagging === true || (input.mapAutoTaggingMpeID ?? '') !== '')
    wrong.push({
      name: 'enableMapAutoTagging',
      message: 'the local cloud knows no MAP programme; leave it out',
    })
  wrong.push(...logPromises(input.postLaunchActions))
  if (wrong.length > 0) throw wrongFields(wrong)
}

/** What of the input is a change of ours. An empty name is none: the machine keeps the one that it has. */
function changeOf(input: Update): LaunchSettingsChange {
  const { name, launchDisposition, targetInstanceTypeRightSizingMethod, bootMode, copyTags, licensing } =
    input
  return {
    ...(name === undefined || name.trim() === '' ? {} : { name: name.trim() }),
    ...(launchDisposition === undefined ? {} : { launchDisposition }),
    ...(targetInstanceTypeRightSizingMethod === undefined
      ? {}
      : { rightSizing: targetInstanceTypeRightSizingMethod }),
    ...(bootMode === undefined ? {} : { bootMode }),
    ...(copyTags === undefined ? {} : { copyTags }),
    ...(licensing?.osByol === undefined ? {} : { osByol: licensing.osByol }),
    ...(input.postLaunchActions === undefined
      ? {}
      : { postLaunchActions: postLaunchOf(input.postLaunchActions) }),
  }
}

export const launchConfigurationOperations = [
  operation({
    name: 'GetLaunchConfiguration',
    status: 200,
    input: z.object({ sourceServerID, ...ofAccount }),
    async run({ services }, { sourceServerID: id }) {
      return mgnLaunchConfiguration(await findServer(services.store, id))
    },
  }),
  operation({
    name: 'UpdateLaunchConfiguration',
    status: 200,
    input: updateInput,
    async run({ services, caller }, input) {
      const { sourceServerId } = await findServer(services.store, input.sourceServerID)
      refuseLaunchPromises(input)
      return mgnLaunchConfiguration(
        await changeLaunchConfiguration(services, sourceServerId, changeOf(input), caller.actor),
      )
    },
  }),
]
