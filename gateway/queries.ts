/**
 * Reading for pages and APIs: servers with their live figures, events, jobs with what they left.
 * @module
 */
import type { AccessKey, ApiToken, InstallationToken } from '../domain/enrolment.ts'
import type { JobId, SourceServerId } from '../domain/ids.ts'
import type { Job, JobLogItem } from '../domain/job.ts'
import type { LaunchRuns } from '../domain/post_launch_action.ts'
import type { RelayedEvent } from '../domain/server_event.ts'
import type { ServerEvent, SourceServer } from '../domain/source_server.ts'
import type { Store } from '../store/store.ts'
import type { ServerTelemetry } from '../wire/telemetry.ts'
import type { Services } from './services.ts'
import { NotFoundError, errorMessage } from '../domain/errors.ts'
import { isId } from '../domain/ids.ts'
import { eventItemId } from '../store/event_feed.ts'
import { listAll } from '../store/listing.ts'
import { encodeCursor } from '../store/paging.ts'
import { withDeadline } from './deadline.ts'
import { TelemetryAwayError } from './telemetry.ts'

/** The server. @throws NotFoundError, also for what is no id. */
export async function findServer(store: Store, id: string): Promise<SourceServer> {
  const found = isId('sourceServer', id) ? await store.get('server', { id }) : undefined
  if (found === undefined) throw new NotFoundError('source server', id)
  return found.value
}

/** A Redis that is down refuses at once; this is for one that hangs, and must not raise an alarm on a busy machine. */
const figuresDeadlineMs = 1500

/** Live figures by server id, and whether they could not be had at all. */
export interface FoundFigures {
  byServer: ReadonlyMap<string, ServerTelemetry>
  areMissing: boolean
}

/** Live figures. None while Redis is away: the page is good without them, and says that they are missing. */
export async function findFigures(
  { telemetry, log }: Pick<Services, 'telemetry' | 'log'>,
  ids: readonly SourceServerId[],
): Promise<FoundFigures> {
  try {
    return {
      byServer: await withDeadline(telemetry.read(ids), figuresDeadlineMs, 'Redis'),
      areMissing: false,
    }
  } catch (error) {
    // Pages ask every second; the connection has told of the outage itself.
    if (!(error instanceof TelemetryAwayError))
      log.warn({ error: errorMessage(error) }, 'Cannot read live figures')
    return { byServer: new Map(), areMissing: true }
  }
}

/** How the post-launch actions of a job go; nothing is read for a job that has none. */
export async function findLaunchRuns(store: Store, job: Job): Promise<LaunchRuns[]> {
  if (!job.participatingServers.some(({ hasActions }) => hasActions)) return []
  return listAll(store, 'launchRuns', job.jobId)
}

/** The newest events of a server before the one `before`, newest first: the relayed ones and those still waiting in its item. */
export async function findEvents(
  store: Store,
  server: SourceServer,
  limit: number,
  before = Infinity,
): Promise<RelayedEvent[]> {
  const page = await store.list('serverEvent', {
    parent: server.sourceServerId,
    limit,
    descending: true,
    ...(before === Infinity ? {} : { cursor: encodeCursor(eventItemId(before)) }),
  })
  const waiting = server.outbox.filter(({ sequence }) => sequence < before)
  const bySequence = new Map(
    [...page.items.map(({ value }) => value), ...waiting].map((event) => [event.sequence, event]),
  )
  return [...bySequence.values()].sort((one, other) => other.sequence - one.sequence).slice(0, limit)
}

/** Every event of a server: the relayed ones and those still waiting in its item. */
export async function findAllEvents(store: Store, server: SourceServer): Promise<ServerEvent[]> {
  const relayed = await listAll(store, 'serverEvent', server.sourceServerId)
  const waiting = server.outbox.filter(
    ({ sequence }) => !relayed.some((event) => event.sequence === sequence),
  )
  return [...relayed, ...waiting]
}

/** Jobs, newest first. */
export async function findJobs(store: Store): Promise<Job[]> {
  const jobs = await listAll(store, 'job')
  return jobs.sort((one, other) => other.createdAt.localeCompare(one.createdAt))
}

/** The job. @throws NotFoundError, also for what is no id. */
export async function findJob(store: Store, id: string): Promise<Job> {
  const found = isId('job', id) ? await store.get('job', { id }) : undefined
  if (found === undefined) throw new NotFoundError('job', id)
  return found.value
}

/** The log of a job, oldest first. */
export function findJobLog(store: Store, jobId: JobId): Promise<JobLogItem[]> {
  return listAll(store, 'jobLog', jobId)
}

/** Installation tokens made by people, newest first. */
export async function findInstallationTokens(store: Store): Promise<InstallationToken[]> {
  const tokens = await listAll(store, 'token')
  return tokens
    .filter(({ purpose }) => purpose === 'AGENT')
    .sort((one, other) => other.createdAt.localeCompare(one.createdAt))
}

/** API tokens, oldest first. */
export async function findApiTokens(store: Store): Promise<ApiToken[]> {
  const tokens = await listAll(store, 'apiToken')
  return tokens.sort((one, other) => one.createdAt.localeCompare(other.createdAt))
}

/** Access keys, oldest first. */
export async function findAccessKeys(store: Store): Promise<AccessKey[]> {
  const keys = await listAll(store, 'accessKey')
  return keys.sort((one, other) => one.createdAt.localeCompare(other.createdAt))
}
