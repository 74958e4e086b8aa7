/**
 * Source servers: listing, archiving, disconnecting, deleting, and what only sources without an agent have.
 * @module
 */
import type { ServerAction } from '../../../domain/actions.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { MgnContext, Operation } from '../operation.ts'
import { z } from 'zod'
import { lifecycleStates } from '../../../domain/lifecycle.ts'
import { NotFoundError } from '../../../domain/errors.ts'
import { performAction } from '../../actions.ts'
import { findServer } from '../../queries.ts'
import { applicationID, ofAccount, paging, queryPaging, sourceServerID, vcenterClientID } from '../fields.ts'
import { notSupported } from '../mgn_error.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { showServer, showServers } from '../server_answers.ts'

const ofServer = z.object({ sourceServerID, ...ofAccount })

const describeInput = z.object({
  filters: z
    .object({
      sourceServerIDs: z.array(sourceServerID).max(200).optional(),
      isArchived: z.boolean().optional(),
      replicationTypes: z
        .array(z.enum(['AGENT_BASED', 'SNAPSHOT_SHIPPING']))
        .max(2)
        .optional(),
      lifeCycleStates: z.array(z.enum(lifecycleStates)).max(10).optional(),
      applicationIDs: z.array(applicationID).max(200).optional(),
    })
    .optional(),
  ...paging,
  ...ofAccount,
})

type Filters = NonNullable<z.infer<typeof describeInput>['filters']>

/** A list that is empty filters nothing, as with the service. */
function allows<T>(wanted: readonly T[] | undefined, value: T | undefined): boolean {
  return wanted === undefined || wanted.length === 0 || (value !== undefined && wanted.includes(value))
}

function isWanted(server: SourceServer, filters: Filters): boolean {
  return (
    allows(filters.sourceServerIDs, server.sourceServerId) &&
    allows(filters.replicationTypes, 'AGENT_BASED') &&
    allows(filters.lifeCycleStates, server.lifecycle.state) &&
    allows(filters.applicationIDs, server.applicationId) &&
    (filters.isArchived === undefined || filters.isArchived === server.isArchived)
  )
}

/**
 * The servers among which to look. Those that are named are read as they are stored: whoever names them has often just changed them, or waited for
 * their job, and what is held of a large fleet may be older than that.
 */
async function candidates({ services }: MgnContext, filters: Filters): Promise<SourceServer[]> {
  const ids = new Set(filters.sourceServerIDs)
  if (ids.size === 0) return services.fleet.latest()
  const found = await Promise.all([...ids].map((id) => services.store.get('server', { id })))
  return found.flatMap((one) => (one === undefined ? [] : [one.value]))
}

/** An operation that does one action to one server and shows it. */
export function actionOperation(name: string, action: ServerAction): Operation {
  return operation({
    name,
    status: 200,
    input: ofServer,
    async run(context, input) {
      const { services, caller } = context
      const { sourceServerId } = await findServer(services.store, input.sourceServerID)
      return showServer(context, await performAction(services, sourceServerId, action, caller.actor))
    },
  })
}

export const sourceServerOperations = [
  operation({
    name: 'DescribeSourceServers',
    status: 200,
    input: describeInput,
    async run(context, { filters = {}, maxResults, nextToken }) {
      const servers = (await candidates(context, filters)).filter((server) => isWanted(server, filters))
      const { items, ...next } = pageOf(
        servers,
        ({ createdAt, sourceServerId }) => `${createdAt} ${sourceServerId}`,
        {
          maxResults,
          nextToken,
        },
      )
      return { items: await showServers(context, items), ...next }
    },
  }),
  actionOperation('DisconnectFromService', 'DISCONNECT'),
  actionOperation('MarkAsArchived', 'ARCHIVE'),
  operation({
    name: 'DeleteSourceServer',
    status: 204,
    input: ofServer,
    async run({ services, caller }, input) {
      const { sourceServerId, activeTask } = await findServer(services.store, input.sourceServerID)
      // Clients call it again when they did not hear the answer.
      if (activeTask?.kind === 'DELETE') return undefined
      await performAction(services, sourceServerId, 'DELETE', caller.actor)
      return undefined
    },
  }),
  operation({
    name: 'UpdateSourceServerReplicationType',
    status: 200,
    input: ofServer.extend({ replicationType: z.enum(['AGENT_BASED', 'SNAPSHOT_SHIPPING']) }),
    async run(context, input) {
      const server = await findServer(context.services.store, input.sourceServerID)
      if (input.replicationType === 'SNAPSHOT_SHIPPING')
        throw notSupported(
          'replicationType',
          'SNAPSHOT_SHIPPING needs a source without an agent, and this server has one',
        )
      return showServer(context, server)
    },
  }),
  operation({
    name: 'UpdateSourceServer',
    status: 200,
    input: ofServer.extend({
      connectorAction: z
        .object({
          credentialsSecretArn: z.string().min(20).max(100).optional(),
          connectorArn: z.string().min(27).max(100).optional(),
        })
        .optional(),
    }),
    async run(context, input) {
      const server = await findServer(context.services.store, input.sourceServerID)
      const { connectorAction } = input
      if (connectorAction?.connectorArn !== undefined || connectorAction?.credentialsSecretArn !== undefined)
        throw notSupported('connectorAction', 'this account has no connectors, so no server can use one')
      return showServer(context, server)
    },
  }),
  operation({
    name: 'DescribeVcenterClients',
    status: 200,
    route: { method: 'GET', path: '/DescribeVcenterClients' },
    input: z.object(queryPaging),
    // An account without agentless sources has none.
    run: (_context, wanted) => Promise.resolve(pageOf<object>([], () => '', wanted)),
  }),
  operation({
    name: 'DeleteVcenterClient',
    status: 204,
    input: z.object({ vcenterClientID }),
    run: (_context, input) => Promise.reject(new NotFoundError('VcenterClient', input.vcenterClientID)),
  }),
]
