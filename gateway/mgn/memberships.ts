/**
 * Which servers belong to which application, and which applications to which wave.
 *
 * A member names its group, and the group doesn't list its members; no write touches both. So that no group is deleted under a member that
 * somebody gives it at the same moment, whoever gives it one writes the member first and the group after that, and whoever deletes a group reads it first,
 * then all members, and removes it only as it was read. A server is noted under its application before it is written, so that not all servers are read for that. Either the deletion sees the member or finds the group changed, or the other finds
 * the group gone and takes the member out again. What is left of one who died in between is taken out by {@link mendMemberships}.
 * @module
 */
import type { Application, Wave } from '../../domain/application.ts'
import type { ApplicationId, SourceServerId, WaveId } from '../../domain/ids.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Services } from '../services.ts'
import { ConflictError, NotFoundError } from '../../domain/errors.ts'
import { withEvent } from '../../domain/source_server.ts'
import type { Store } from '../../store/store.ts'
import { listAll } from '../../store/listing.ts'
import { forgetNotes, noteServer, notedServers } from '../../store/noted_servers.ts'
import { mutate } from '../../store/mutate.ts'
import { RevisionConflictError } from '../../store/store.ts'
import { findServer } from '../queries.ts'
import { changeServer } from '../server_changes.ts'
import { findApplication } from './groups.ts'

type GroupKind = 'application' | 'wave'

/** Times that a deletion begins again because the group was given a member meanwhile, or changed. */
const maxAttempts = 20

/** `server` as part of the application, or of none. */
export function withApplication(
  { applicationId: _former, ...server }: SourceServer,
  to: ApplicationId | undefined,
): SourceServer {
  return to === undefined ? server : { ...server, applicationId: to }
}

/** `server` as part of the application that it joins. @throws ConflictError when it is part of another. */
function joining(server: SourceServer, to: Application, goneId: string | undefined): SourceServer {
  const { sourceServerId, applicationId } = server
  if (applicationId === to.applicationId) return server
  if (applicationId !== undefined && applicationId !== goneId)
    throw new ConflictError(
      `Source server ${sourceServerId} is part of application ${applicationId} already`,
      { obstacle: { resourceType: 'SourceServer', resourceId: sourceServerId } },
    )
  return withApplication(server, to.applicationId)
}

/** Makes servers part of an application: all of them, or none when one refuses. @throws ConflictError for one of another application; NotFoundError. */
export async function joinApplication(
  services: Services,
  ids: readonly string[],
  application: Application,
  actor: string,
): Promise<void> {
  const at = services.clock().toISOString()
  const message = `Made part of application ${application.name}`
  const looked: { sourceServerId: SourceServerId; goneId: string | undefined }[] = []
  for (const id of ids) {
    const server = await findServer(services.store, id)
    const goneId = await goneGroup(services, 'application', server.applicationId)
    joining(server, application, goneId)
    looked.push({ sourceServerId: server.sourceServerId, goneId })
  }
  try {
    for (const { sourceServerId, goneId } of looked) {
      await noteMember(services.store, application.applicationId, sourceServerId)
      await changeServer(services, sourceServerId, (server) => {
        const next = joining(server, application, goneId)
        return next === server ? server : withEvent(next, at, { type: 'CONFIGURATION', actor, message })
      })
    }
  } finally {
    // Also of those that were written before another one was refused after all.
    await confirmMembers(services, application.applicationId, ids)
  }
}

/** Has a deletion of the application find the server; written before the server is part of it. */
export function noteMember(
  store: Store,
  applicationId: ApplicationId,
  sourceServerId: SourceServerId,
): Promise<void> {
  return noteServer(store, 'applicationMember', applicationId, sourceServerId)
}

/** Says in the application that it was given servers. @throws NotFoundError when it was deleted meanwhile; they are taken out again then. */
export async function confirmMembers(
  services: Services,
  applicationId: ApplicationId,
  ids: readonly string[],
): Promise<void> {
  await confirm(services, 'application', applicationId, async () => {
    for (const id of ids) await takeOut(services, id, applicationId)
  })
}

/** Takes servers out of an application: all of them, or none when one refuses. @throws ConflictError for one that is not part of it; NotFoundError. */
export async function leaveApplication(
  services: Services,
  ids: readonly string[],
  applicationId: string,
  actor: string,
): Promise<void> {
  const at = services.clock().toISOString()
  const message = 'Taken out of its application'
  const leave = (server: SourceServer): SourceServer => {
    if (server.applicationId === applicationId)
      return withEvent(withApplication(server, undefined), at, { type: 'CONFIGURATION', actor, message })
    throw new ConflictError(
      `Source server ${server.sourceServerId} is not part of application ${applicationId}`,
      { obstacle: { resourceType: 'SourceServer', resourceId: server.sourceServerId } },
    )
  }
  const servers = await Promise.all([...new Set(ids)].map((id) => findServer(services.store, id)))
  servers.forEach(leave)
  for (const { sourceServerId } of servers) await changeServer(services, sourceServerId, leave)
}

/** `application` as part of the wave that it joins. @throws ConflictError when it is part of another. */
function joiningWave(application: Application, { waveId }: Wave, goneId: string | undefined): Application {
  const known = application.waveId
  if (known === waveId) return application
  if (known !== undefined && known !== goneId)
    throw new ConflictError(`Application ${application.applicationId} is part of wave ${known}`, {
      obstacle: { resourceType: 'Application', resourceId: application.applicationId },
    })
  return { ...application, waveId }
}

/** Makes applications part of a wave: all of them, or none when one refuses. @throws ConflictError for one of another wave; NotFoundError. */
export async function joinWave(services: Services, ids: readonly string[], wave: Wave): Promise<void> {
  const looked: { id: string; goneId: string | undefined }[] = []
  for (const id of ids) {
    const application = await findApplication(services, id)
    const goneId = await goneGroup(services, 'wave', application.waveId)
    joiningWave(application, wave, goneId)
    looked.push({ id, goneId })
  }
  try {
    for (const { id, goneId } of looked)
      await changeApplication(services, id, (application) => joiningWave(application, wave, goneId))
  } finally {
    await confirmApplications(services, wave.waveId, ids)
  }
}

/** Says in the wave that it was given applications. @throws NotFoundError when it was deleted meanwhile; they are taken out again then. */
export async function confirmApplications(
  services: Services,
  waveId: WaveId,
  ids: readonly string[],
): Promise<void> {
  await confirm(services, 'wave', waveId, async () => {
    for (const id of ids) await takeOutOfWave(services, id, waveId)
  })
}

/** Takes applications out of a wave: all of them, or none when one refuses. @throws ConflictError for one that is not part of it; NotFoundError. */
export async function leaveWave(services: Services, ids: readonly string[], waveId: string): Promise<void> {
  const leave = ({ waveId: known, ...application }: Application): Application => {
    if (known === waveId) return application
    const where = known === undefined ? 'part of no wave' : `part of wave ${known}`
    throw new ConflictError(`Application ${application.applicationId} is ${where}`, {
      obstacle: { resourceType: 'Application', resourceId: application.applicationId },
    })
  }
  const applications = await Promise.all([...new Set(ids)].map((id) => findApplication(services, id)))
  applications.forEach(leave)
  for (const { applicationId } of applications) await changeApplication(services, applicationId, leave)
}

/** Deletes an application that has no servers and no wave. @throws ConflictError, NotFoundError. */
export async function deleteApplication(services: Services, id: string): Promise<void> {
  await deleteGroup(services, 'application', id, async ({ waveId }: Application) => {
    if (waveId !== undefined && (await goneGroup(services, 'wave', waveId)) === undefined)
      throw new ConflictError(`Application ${id} is part of wave ${waveId}; disassociate it first`)
    // Of the store: what is held here may not have heard yet of what others wrote.
    for await (const servers of notedServers(services.store, 'applicationMember', [id])) {
      const member = servers.find(({ applicationId }) => applicationId === id)
      if (member !== undefined)
        throw new ConflictError(
          `Application ${id} has servers, ${member.sourceServerId} for one; disassociate them first`,
        )
    }
  })
  // Not before: whoever has noted a server and not written it yet relies on the note.
  await forgetNotes(services.store, 'applicationMember', id)
}

/** Deletes a wave that has no applications. @throws ConflictError, NotFoundError. */
export async function deleteWave(services: Services, id: string): Promise<void> {
  await deleteGroup(services, 'wave', id, async () => {
    const applications = (await listAll(services.store, 'application')).filter(({ waveId }) => waveId === id)
    if (applications.length > 0)
      throw new ConflictError(`Wave ${id} has ${applications.length} applications; disassociate them first`)
  })
}

/** Takes out of their groups the members of those that are gone. Ids are never given twice, so what is gone stays so. */
export async function mendMemberships(services: Services): Promise<void> {
  const applications = await listAll(services.store, 'application')
  const waves = new Set<string>((await listAll(services.store, 'wave')).map(({ waveId }) => waveId))
  for (const { applicationId, waveId } of applications) {
    if (waveId === undefined || waves.has(waveId)) continue
    if ((await goneGroup(services, 'wave', waveId)) !== undefined)
      await takeOutOfWave(services, applicationId, waveId)
  }
  const known = new Set(applications.map(({ applicationId }) => applicationId))
  for (const { sourceServerId, applicationId } of await services.fleet.list()) {
    if (applicationId === undefined || known.has(applicationId)) continue
    if ((await goneGroup(services, 'application', applicationId)) !== undefined)
      await takeOut(services, sourceServerId, applicationId)
  }
}

/** `id`, if no group of that kind has it. */
async function goneGroup(
  { store }: Services,
  kind: GroupKind,
  id: string | undefined,
): Promise<string | undefined> {
  return id === undefined || (await store.get(kind, { id })) !== undefined ? undefined : id
}

/** @throws NotFoundError when the group is gone, after `takeBack`. */
async function confirm(
  { store, clock }: Services,
  kind: GroupKind,
  id: string,
  takeBack: () => Promise<void>,
): Promise<void> {
  const lastModifiedAt = clock().toISOString()
  try {
    // Written also when nothing of it changes: a new revision is what a deletion must see.
    await mutate(store, kind, { id }, (group) => ({ ...group, lastModifiedAt }))
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
    await takeBack()
    throw new NotFoundError(kind === 'wave' ? 'Wave' : 'Application', id, { cause: error })
  }
}

async function deleteGroup<K extends GroupKind>(
  services: Services,
  kind: K,
  id: string,
  requireEmpty: (group: K extends 'wave' ? Wave : Application) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    // Read before the members are: whoever adds one writes the group after that.
    const found = await services.store.get(kind, { id })
    if (found === undefined) throw new NotFoundError(kind === 'wave' ? 'Wave' : 'Application', id)
    await requireEmpty(found.value as K extends 'wave' ? Wave : Application)
    try {
      return await services.store.remove(kind, { id }, found.revision)
    } catch (error) {
      if (!(error instanceof RevisionConflictError) || attempt >= maxAttempts) throw error
    }
  }
}

/** Changes an application, which is modified now. @throws NotFoundError. */
async function changeApplication(
  services: Services,
  id: string,
  change: (application: Application) => Application,
): Promise<void> {
  const { applicationId } = await findApplication(services, id)
  const lastModifiedAt = services.clock().toISOString()
  await mutate(services.store, 'application', { id: applicationId }, (application) => {
    const next = change(application)
    return next === application ? application : { ...next, lastModifiedAt }
  })
}

async function takeOut(services: Services, id: string, applicationId: string): Promise<void> {
  const at = services.clock().toISOString()
  const { sourceServerId } = await findServer(services.store, id)
  await changeServer(services, sourceServerId, (server) =>
    server.applicationId === applicationId
      ? withEvent(withApplication(server, undefined), at, {
          type: 'CONFIGURATION',
          message: `Taken out of application ${applicationId}, which was deleted`,
        })
      : server,
  )
}

async function takeOutOfWave(services: Services, id: string, gone: string): Promise<void> {
  await changeApplication(services, id, (application) => {
    const { waveId, ...rest } = application
    return waveId === gone ? rest : application
  })
}
