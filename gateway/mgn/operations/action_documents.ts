/**
 * Post-launch actions are documents of AWS Systems Manager, which the local cloud cannot run. None is taken: one that must succeed before a cutover,
 * and never runs, would be a lie.
 * @module
 */
import type { Operation } from '../operation.ts'
import { z } from 'zod'
import { NotFoundError } from '../../../domain/errors.ts'
import { findServer } from '../../queries.ts'
import { launchConfigurationTemplateID, ofAccount, paging, sourceServerID } from '../fields.ts'
import { notSupported } from '../mgn_error.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { findLaunchTemplate } from './launch_templates.ts'

const actionID = z
  .string()
  .min(1)
  .max(64)
  .regex(/[0-9a-zA-Z]$/, 'must end with a letter or digit')

const documentMembers = {
  actionID,
  actionName: z.string().min(1).max(256),
  documentIdentifier: z.string().max(256),
  order: z.int().min(1001).max(10_000),
}

const filters = z.object({ actionIDs: z.array(actionID).max(100).optional() }).optional()

const ofServer = { sourceServerID, ...ofAccount }
const ofTemplate = { launchConfigurationTemplateID }

type Owner = { sourceServerID: string } | { launchConfigurationTemplateID: string }

/** The three operations of one kind of owner. */
function operationsOf(
  kind: 'SourceServer' | 'Template',
  owner: typeof ofServer | typeof ofTemplate,
  find: (context: Parameters<typeof findLaunchTemplate>[0], input: Owner) => Promise<unknown>,
): Operation[] {
  return [
    operation({
      name: `Put${kind}Action`,
      status: 200,
      input: z.object({ ...owner, ...documentMembers }),
      async run(context, input) {
        await find(context, input as unknown as Owner)
        throw notSupported('documentIdentifier', 'the local cloud runs no documents of Systems Manager')
      },
    }),
    operation({
      name: `List${kind}Actions`,
      status: 200,
      input: z.object({ ...owner, filters, ...paging }),
      async run(context, input) {
        await find(context, input as unknown as Owner)
        const { maxResults, nextToken } = input as { maxResults?: number; nextToken?: string }
        return pageOf<object>([], () => '', { maxResults, nextToken })
      },
    }),
    operation({
      name: `Remove${kind}Action`,
      status: 204,
      input: z.object({ ...owner, actionID }),
      async run(context, input) {
        await find(context, input as unknown as Owner)
        throw new NotFoundError('Action', (input as { actionID: string }).actionID)
      },
    }),
  ]
}

export const actionDocumentOperations = [
  ...operationsOf('SourceServer', ofServer, ({ services }, input) =>
    findServer(services.store, 'sourceServerID' in input ? input.sourceServerID : ''),
  ),
  ...operationsOf('Template', ofTemplate, (context, input) =>
    findLaunchTemplate(
      context,
      'launchConfigurationTemplateID' in input ? input.launchConfigurationTemplateID : '',
    ),
  ),
]
