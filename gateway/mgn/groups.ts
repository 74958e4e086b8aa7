/**
 * Applications and waves in the store: found by id, shown with the status of their servers.
 * @module
 */
import type { Application, Group, GroupMember, Wave } from '../../domain/application.ts'
import type { MgnContext } from './operation.ts'
import type { Services } from '../services.ts'
import { healthOf, progressOf, replicationStartedAt } from '../../domain/application.ts'
import { ConflictError, NotFoundError } from '../../domain/errors.ts'
import { listAll } from '../../store/listing.ts'
import type { Entities, Store } from '../../store/store.ts'
import { arnOf } from './account.ts'
import { mgnTime, mgnTimeOf } from './shapes/times.ts'

/** The application. @throws NotFoundError. */
export async function findApplication({ store }: Pick<Services, 'store'>, id: string): Promise<Application> {
  const found = await store.get('application', { id })
  if (found === undefined) throw new NotFoundError('Application', id)
  return found.value
}

/** The wave. @throws NotFoundError. */
export async function findWave({ store }: Pick<Services, 'store'>, id: string): Promise<Wave> {
  const found = await store.get('wave', { id })
  if (found === undefined) throw new NotFoundError('Wave', id)
  return found.value
}

function idOf(group: Application | Wave): string {
  return 'applicationId' in group ? group.applicationId : group.waveId
}

/** @throws ConflictError for a name that another one has: imports find applications and waves by their names. */
export function requireFreeName(
  kind: 'Application' | 'Wave',
  groups: readonly (Application | Wave)[],
  name: string | undefined,
  own?: string,
): void {
  const other = groups.find((one) => one.name === name && idOf(one) !== own)
  if (other === undefined) return
  const resourceId = idOf(other)
  throw new ConflictError(`${kind} ${resourceId} is called ${name} already`, {
    obstacle: { resourceType: kind, resourceId },
  })
}

/**
 * Makes an application or a wave, and looks again whether its name is its own: two may be made at the same moment.
 * @throws ConflictError when another one has the name. Each of two may be refused so; two never stay.
 */
export async function createGroup<K extends 'application' | 'wave'>(
  store: Store,
  kind: K,
  group: Entities[K] & Group,
): Promise<void> {
  const key = { id: idOf(group) }
  const revision = await store.create(kind, key, group)
  const resource = kind === 'application' ? 'Application' : 'Wave'
  try {
    requireFreeName(resource, await listAll(store, kind), group.name, key.id)
  } catch (error) {
    await store.remove(kind, key, revision)
    throw error
  }
}

/** The servers of an application. */
export async function serversOf(
  { fleet }: Pick<Services, 'fleet'>,
  applicationIds: readonly string[],
): Promise<(GroupMember & { sourceServerId: string })[]> {
  return (await fleet.latest()).filter(
    ({ applicationId }) => applicationId !== undefined && applicationIds.includes(applicationId),
  )
}

/** The applications of a wave. */
export async function applicationsOf(
  { store }: Pick<Services, 'store'>,
  waveId: string,
): Promise<Application[]> {
  return (await listAll(store, 'application')).filter((application) => application.waveId === waveId)
}

/** Servers by the application that they are part of, read once for however many applications. */
async function serversByApplication({
  fleet,
}: Pick<Services, 'fleet'>): Promise<ReadonlyMap<string, GroupMember[]>> {
  return Map.groupBy(await fleet.latest(), ({ applicationId = '' }) => applicationId)
}

/** The shape Application of each. */
export async function showApplications(
  { services, account }: Pick<MgnContext, 'services' | 'account'>,
  applications: readonly Application[],
): Promise<object[]> {
  const members = await serversByApplication(services)
  const lastUpdateDateTime = mgnTime(services.clock().toISOString())
  return applications.map((application) => {
    const { applicationId, waveId } = application
    const servers = members.get(applicationId) ?? []
    return {
      applicationID: applicationId,
      arn: arnOf(account, 'application', applicationId),
      ...groupMembers(application),
      ...(waveId === undefined ? {} : { waveID: waveId }),
      applicationAggregatedStatus: {
        lastUpdateDateTime,
        healthStatus: healthOf(servers),
        progressStatus: progressOf(servers),
        totalSourceServers: servers.length,
      },
    }
  })
}

/** The shape Application of one. */
export async function showApplication(
  context: Pick<MgnContext, 'services' | 'account'>,
  application: Application,
): Promise<object> {
  const [shown = {}] = await showApplications(context, [application])
  return shown
}

/** The shape Wave of each. */
export async function showWaves(
  { services, account }: Pick<MgnContext, 'services' | 'account'>,
  waves: readonly Wave[],
): Promise<object[]> {
  const members = await serversByApplication(services)
  const byWave = Map.groupBy(await listAll(services.store, 'application'), ({ waveId }) => waveId)
  const lastUpdateDateTime = mgnTime(services.clock().toISOString())
  return waves.map((wave) => {
    const applications = byWave.get(wave.waveId) ?? []
    const servers = applications.flatMap(({ applicationId }) => members.get(applicationId) ?? [])
    return {
      waveID: wave.waveId,
      arn: arnOf(account, 'wave', wave.waveId),
      ...groupMembers(wave),
      waveAggregatedStatus: {
        lastUpdateDateTime,
        ...mgnTimeOf('replicationStartedDateTime', replicationStartedAt(servers)),
        healthStatus: healthOf(servers),
        progressStatus: progressOf(servers),
        totalApplications: applications.length,
      },
    }
  })
}

/** The shape Wave of one. */
export async function showWave(
  context: Pick<MgnContext, 'services' | 'account'>,
  wave: Wave,
): Promise<object> {
  const [shown = {}] = await showWaves(context, [wave])
  return shown
}

function groupMembers({
  name,
  description,
  isArchived,
  createdAt,
  lastModifiedAt,
  tags,
}: Application | Wave): object {
  return {
    name,
    description,
    isArchived,
    creationDateTime: mgnTime(createdAt),
    lastModifiedDateTime: mgnTime(lastModifiedAt),
    tags,
  }
}
