/**
 * One job for many servers: a test, a cutover or a termination that is asked for together.
 * @module
 */
import type { JobId, SourceServerId } from '../domain/ids.ts'
import type { Job } from '../domain/job.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Services } from './services.ts'
import { applyAction, decideAction } from '../domain/actions.ts'
import { ConflictError, errorMessage, NotFoundError } from '../domain/errors.ts'
import { newId, taskId } from '../domain/ids.ts'
import { newJob, withJobStatus, withLaunchStatus } from '../domain/job.ts'
import { isLaunchOpen } from '../domain/launch_status.ts'
import { withEvent } from '../domain/source_server.ts'
import { listAll } from '../store/listing.ts'
import { mutate } from '../store/mutate.ts'
import type { Store } from '../store/store.ts'
import { findServer } from './queries.ts'
import type { ChangeServices } from './server_changes.ts'
import { changeServer } from './server_changes.ts'
import { setWorkGoing } from './work.ts'

/** What makes a job. */
export type JobAction = 'START_TEST' | 'START_CUTOVER' | 'TERMINATE'

/** Some of the servers do not allow it, so nothing was begun for any. */
export class ServersRefuseError extends ConflictError {
  override name = 'ServersRefuseError'
  readonly refusals: readonly { sourceServerId: SourceServerId; because: string }[]
  constructor(refusals: readonly { sourceServerId: SourceServerId; because: string }[]) {
    super(refusals.map(({ sourceServerId, because }) => `${sourceServerId}: ${because}`).join('; '))
    this.refusals = refusals
  }
}

/**
 * Begins one job for all of the servers, or for none when one of them refuses. What a server refuses after that, because somebody else was faster,
 * is its part's failure.
 * @throws NotFoundError, ServersRefuseError.
 */
export async function startJob(
  services: Services,
  ids: readonly string[],
  action: JobAction,
  { actor, tags }: { actor: string; tags?: Record<string, string> | undefined },
): Promise<Job> {
  const { store, random } = services
  const servers = await Promise.all([...new Set(ids)].map((id) => findServer(store, id)))
  const refusals = servers.flatMap((server) => refusalOf(server, action))
  if (refusals.length > 0) throw new ServersRefuseError(refusals)
  const jobId = newId('job', random)
  const at = services.clock().toISOString()
  const job = newJob({
    jobId,
    initiatedBy: action,
    actor,
    at,
    sourceServerIds: servers.map(({ sourceServerId }) => sourceServerId),
    ...(tags === undefined ? {} : { tags }),
  })
  const pastLaunches = action === 'START_CUTOVER' ? await services.forecasts.pastLaunches() : []
  await store.create('job', { id: jobId }, job)
  for (const { sourceServerId } of servers) {
    try {
      const begun = await changeServer(services, sourceServerId, (current) =>
        applyAction(current, action, { at, actor, jobId, pastLaunches }),
      )
      await setWorkGoing(services, begun, actor)
    } catch (error) {
      // The others are begun all the same: their launches must not hang on this one.
      if (!(error instanceof ConflictError))
        services.log.error(
          { sourceServerId, jobId, error: errorMessage(error) },
          'Cannot begin a part of a job',
        )
      // The server has its work, and only waking a worker for it failed: the reconciler does that, so the part goes on.
      if (await isBegun(store, job, sourceServerId)) continue
      await endPart(services, jobId, sourceServerId, errorMessage(error), at)
    }
  }
  return (await store.get('job', { id: jobId }))?.value ?? job
}

/** A call is over long before, also one for 200 servers while Redis hangs; what is still to be begun then will not be. */
const cutShortMs = 30 * 60_000

/** Ends the parts of jobs that a gateway which died did not come to. */
export async function settleCutShort(services: ChangeServices & Pick<Services, 'clock'>): Promise<void> {
  const { store } = services
  const now = services.clock()
  for (const job of await listAll(store, 'job')) {
    if (job.status === 'COMPLETED' || now.getTime() - Date.parse(job.createdAt) < cutShortMs) continue
    for (const { sourceServerId, launchStatus } of job.participatingServers) {
      if (launchStatus !== 'PENDING' || (await isBegun(store, job, sourceServerId))) continue
      const failure = 'The call that asked for it was cut short before it came to this server; ask again'
      await endPart(services, job.jobId, sourceServerId, failure, now.toISOString())
    }
  }
}

/** Ends a server's part that was not begun. The server is told first: whoever dies in between tells it once more, rather than never. */
async function endPart(
  services: ChangeServices,
  jobId: JobId,
  sourceServerId: SourceServerId,
  failure: string,
  at: string,
): Promise<void> {
  try {
    await changeServer(services, sourceServerId, (server) =>
      // All gateways look for such parts: another one may have told it at this moment.
      server.outbox.some(({ detail }) => detail['job-id'] === jobId && detail['status'] === 'COMPLETED')
        ? server
        : withEvent(server, at, {
            type: 'JOB',
            level: 'ERROR',
            message: `Job ${jobId} has ended: ${failure}`,
            detail: { 'job-id': jobId, status: 'COMPLETED', 'launch-status': 'FAILED' },
          }),
    )
  } catch (error) {
    // A server that has been deleted is told nothing.
    if (!(error instanceof NotFoundError)) throw error
  }
  await mutate(services.store, 'job', { id: jobId }, (own) => withoutPart(own, sourceServerId, failure, at))
}

/** Whether a server's part has its task, or will have it by what the server's item says. */
async function isBegun(store: Store, { jobId, type }: Job, sourceServerId: SourceServerId): Promise<boolean> {
  const server = await store.get('server', { id: sourceServerId })
  if (server?.value.activeTask?.jobId === jobId) return true
  return (await store.get('task', { id: taskId(type, sourceServerId, jobId) })) !== undefined
}

function refusalOf(
  server: SourceServer,
  action: JobAction,
): { sourceServerId: SourceServerId; because: string }[] {
  const decision = decideAction(server, action)
  return decision.possible ? [] : [{ sourceServerId: server.sourceServerId, because: decision.because }]
}

/** `job` when the part of a server could not be begun. Pure. */
function withoutPart(job: Job, sourceServerId: SourceServerId, failure: string, at: string): Job {
  const participatingServers = job.participatingServers.map((own) =>
    own.sourceServerId === sourceServerId && isLaunchOpen(own.launchStatus)
      ? { ...withLaunchStatus(job, own, 'FAIL'), failure }
      : own,
  )
  const isOpen = participatingServers.some(({ launchStatus }) => isLaunchOpen(launchStatus))
  return isOpen
    ? { ...job, participatingServers }
    : { ...withJobStatus(job, 'COMPLETE'), participatingServers, endedAt: at }
}
