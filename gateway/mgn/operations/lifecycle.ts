/**
 * The lifecycle: tests, cutovers, their reversal and their end.
 * @module
 */
import type { ServerAction } from '../../../domain/actions.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { JobAction } from '../../server_jobs.ts'
import type { Operation } from '../operation.ts'
import { z } from 'zod'
import { performAction } from '../../actions.ts'
import { findServer } from '../../queries.ts'
import { ServersRefuseError, startJob } from '../../server_jobs.ts'
import { ofAccount, sourceServerID, tags } from '../fields.ts'
import { MgnError } from '../mgn_error.ts'
import { operation } from '../operation.ts'
import { requireQuota } from '../quota.ts'
import { showServer } from '../server_answers.ts'
import { mgnJob } from '../shapes/job.ts'
import { actionOperation } from './source_servers.ts'

const ofServers = z.object({
  sourceServerIDs: z.array(sourceServerID).min(1).max(200),
  tags: tags.optional(),
  ...ofAccount,
})

/** An operation that begins a job for up to 200 servers. */
function jobOperation(name: string, action: JobAction): Operation {
  return operation({
    name,
    status: 202,
    input: ofServers,
    async run({ services, account, caller }, { sourceServerIDs, tags: given }) {
      requireQuota('serversInOneJob', account, sourceServerIDs.length)
      try {
        const job = await startJob(services, sourceServerIDs, action, { actor: caller.actor, tags: given })
        return { job: mgnJob(job, account) }
      } catch (error) {
        if (error instanceof ServersRefuseError) throw conflictOf(error)
        throw error
      }
    },
  })
}

function conflictOf(error: ServersRefuseError): MgnError {
  const [first, ...others] = error.refusals
  const isOne = first !== undefined && others.length === 0
  return new MgnError('ConflictException', error.message, {
    cause: error,
    members: {
      ...(isOne ? { resourceId: first.sourceServerId, resourceType: 'SourceServer' } : {}),
      errors: error.refusals.map(({ sourceServerId, because }) => ({
        code: 'ConflictException',
        message: because,
        resourceId: sourceServerId,
        resourceType: 'SourceServer',
      })),
    },
  })
}

/** The action that leads a server to the state that is wanted. */
function actionTo(
  state: 'READY_FOR_TEST' | 'READY_FOR_CUTOVER' | 'CUTOVER',
  server: SourceServer,
): ServerAction {
  if (state === 'READY_FOR_TEST') return 'REVERT_TO_READY_FOR_TEST'
  if (state === 'CUTOVER') return 'FINALIZE'
  return server.lifecycle.state === 'CUTTING_OVER' ? 'REVERT_TO_READY_FOR_CUTOVER' : 'MARK_READY_FOR_CUTOVER'
}

export const lifecycleOperations = [
  jobOperation('StartTest', 'START_TEST'),
  jobOperation('StartCutover', 'START_CUTOVER'),
  jobOperation('TerminateTargetInstances', 'TERMINATE'),
  actionOperation('FinalizeCutover', 'FINALIZE'),
  operation({
    name: 'ChangeServerLifeCycleState',
    status: 200,
    input: z.object({
      sourceServerID,
      lifeCycle: z.object({ state: z.enum(['READY_FOR_TEST', 'READY_FOR_CUTOVER', 'CUTOVER']) }),
      ...ofAccount,
    }),
    async run(context, { sourceServerID: id, lifeCycle }) {
      const { services, caller } = context
      const server = await findServer(services.store, id)
      const action = actionTo(lifeCycle.state, server)
      return showServer(context, await performAction(services, server.sourceServerId, action, caller.actor))
    },
  }),
]
