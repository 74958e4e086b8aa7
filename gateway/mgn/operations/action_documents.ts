/**
 * Post-launch actions of servers and of templates. They lie in the item of their owner, so that a launch, and what it must have run well, are
 * decided on what there is at that moment.
 * @module
 */
import { z } from 'zod'
import type { PostLaunchAction } from '../../../domain/post_launch_action.ts'
import { ConflictError, NotFoundError } from '../../../domain/errors.ts'
import { byOrder, maxActions, maxActionsBytes } from '../../../domain/post_launch_action.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { withEvent } from '../../../domain/source_server.ts'
import type { LaunchTemplate } from '../../../domain/template.ts'
import { mutate } from '../../../store/mutate.ts'
import { findServer } from '../../queries.ts'
import { changeServer } from '../../server_changes.ts'
import { actionID, actionMembers, actionOf } from '../action_fields.ts'
import { launchConfigurationTemplateID, ofAccount, paging, sourceServerID } from '../fields.ts'
import type { MgnContext } from '../operation.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { findLaunchTemplate } from './launch_templates.ts'

const filters = z.object({ actionIDs: z.array(actionID).max(100).optional() }).optional()
const { operatingSystem: _ofTemplates, ...serverActionMembers } = actionMembers

/**
 * `actions` with `action` put among them, in the place of the one with its id.
 * @throws ConflictError when there would be too many.
 */
function withAction(actions: readonly PostLaunchAction[], action: PostLaunchAction): PostLaunchAction[] {
  const others = actions.filter((known) => known.actionID !== action.actionID)
  const next = [...others, action].toSorted(byOrder)
  if (next.length > maxActions)
    throw new ConflictError(`There are ${maxActions} actions already, and no more can be; remove one first`)
  if (JSON.stringify(next).length > maxActionsBytes)
    throw new ConflictError(
      `All actions together may have ${maxActionsBytes} bytes; shorten names and descriptions, or remove one`,
    )
  return next
}

/** @throws NotFoundError. */
function withoutAction(actions: readonly PostLaunchAction[], id: string): PostLaunchAction[] {
  if (!actions.some((known) => known.actionID === id)) throw new NotFoundError('Action', id)
  return actions.filter((known) => known.actionID !== id)
}

/** Saves the actions of a server, with an event that says what became of them. */
function changeOfServer(
  { services, caller }: MgnContext,
  id: SourceServer['sourceServerId'],
  change: (actions: readonly PostLaunchAction[]) => PostLaunchAction[],
  message: string,
): Promise<SourceServer> {
  const at = services.clock().toISOString()
  return changeServer(services, id, (server) => {
    const known = server.postLaunch?.actions ?? []
    const actions = change(known)
    if (JSON.stringify(actions) === JSON.stringify(known)) return server
    return withEvent({ ...server, postLaunch: { ...server.postLaunch, actions } }, at, {
      type: 'CONFIGURATION',
      actor: caller.actor,
      message,
    })
  })
}

async function changeOfTemplate(
  context: MgnContext,
  { launchTemplateId: id }: LaunchTemplate,
  change: (actions: readonly PostLaunchAction[]) => PostLaunchAction[],
): Promise<void> {
  await mutate(context.services.store, 'launchTemplate', { id }, (known) => ({
    ...known,
    actions: change(known.actions ?? []),
  }))
}

interface Wanted {
  filters?: { actionIDs?: string[] | undefined } | undefined
  maxResults?: number | undefined
  nextToken?: string | undefined
}

/** A page of actions, in the order in which they run. */
function list(actions: readonly PostLaunchAction[], { filters: own, ...wanted }: Wanted): object {
  const ids = own?.actionIDs ?? []
  return pageOf(
    actions.filter((action) => ids.length === 0 || ids.includes(action.actionID)),
    ({ order, actionID: id }) => `${String(order).padStart(5, '0')} ${id}`,
    wanted,
  )
}

export const actionDocumentOperations = [
  operation({
    name: 'PutSourceServerAction',
    status: 200,
    input: z.object({ sourceServerID, ...ofAccount, ...serverActionMembers }),
    async run(context, input) {
      const { sourceServerId } = await findServer(context.services.store, input.sourceServerID)
      const action = actionOf(input)
      const message = `Post-launch action “${action.actionName}” put`
      await changeOfServer(context, sourceServerId, (actions) => withAction(actions, action), message)
      return action
    },
  }),
  operation({
    name: 'ListSourceServerActions',
    status: 200,
    input: z.object({ sourceServerID, ...ofAccount, filters, ...paging }),
    async run({ services }, { sourceServerID: id, ...wanted }) {
      return list((await findServer(services.store, id)).postLaunch?.actions ?? [], wanted)
    },
  }),
  operation({
    name: 'RemoveSourceServerAction',
    status: 204,
    input: z.object({ sourceServerID, ...ofAccount, actionID }),
    async run(context, input) {
      const { sourceServerId } = await findServer(context.services.store, input.sourceServerID)
      const message = `Post-launch action ${input.actionID} removed`
      const without = (actions: readonly PostLaunchAction[]) => withoutAction(actions, input.actionID)
      await changeOfServer(context, sourceServerId, without, message)
      return undefined
    },
  }),
  operation({
    name: 'PutTemplateAction',
    status: 200,
    input: z.object({ launchConfigurationTemplateID, ...actionMembers }),
    async run(context, input) {
      const template = await findLaunchTemplate(context, input.launchConfigurationTemplateID)
      const action = actionOf(input)
      await changeOfTemplate(context, template, (actions) => withAction(actions, action))
      return action
    },
  }),
  operation({
    name: 'ListTemplateActions',
    status: 200,
    input: z.object({ launchConfigurationTemplateID, filters, ...paging }),
    async run(context, { launchConfigurationTemplateID: id, ...wanted }) {
      return list((await findLaunchTemplate(context, id)).actions ?? [], wanted)
    },
  }),
  operation({
    name: 'RemoveTemplateAction',
    status: 204,
    input: z.object({ launchConfigurationTemplateID, actionID }),
    async run(context, input) {
      const template = await findLaunchTemplate(context, input.launchConfigurationTemplateID)
      await changeOfTemplate(context, template, (actions) => withoutAction(actions, input.actionID))
      return undefined
    },
  }),
]
