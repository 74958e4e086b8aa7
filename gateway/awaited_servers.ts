/**
 * Servers whose agents are awaited, and the ids that users gave their servers. Each id is one server's: whoever makes a server with one claims the id first, so
 * that two imports of the same file at the same moment, or an import and an agent, do not make two.
 * @module
 */
import type { SourceServer } from '../domain/source_server.ts'
import type { SourceServerId } from '../domain/ids.ts'
import type { ChangeServices } from './server_changes.ts'
import type { Services } from './services.ts'
import { newAwaitedServer } from '../domain/awaited_server.ts'
import { ConflictError } from '../domain/errors.ts'
import { newId } from '../domain/ids.ts'
import { newest, withTemplates } from '../domain/template.ts'
import { noteAwaitedName } from '../store/awaited_names.ts'
import { listAll } from '../store/listing.ts'
import type { IdOwner } from '../store/own_ids.ts'
import { claimOwnId, ownerOfId } from '../store/own_ids.ts'
import { announce } from './server_changes.ts'

type AwaitServices = ChangeServices & Pick<Services, 'clock' | 'random'>

/** What new servers begin with. */
export async function newestTemplates({
  store,
}: Pick<Services, 'store'>): Promise<Parameters<typeof withTemplates>[1]> {
  return {
    replication: newest(await listAll(store, 'replicationTemplate')),
    launch: newest(await listAll(store, 'launchTemplate')),
  }
}

/**
 * The server that has the id, made when there is none.
 * @throws ConflictError when somebody else makes it at this moment.
 */
export async function awaitServer(
  services: AwaitServices,
  userProvidedId: string,
  input: { actor: string; platform?: string | undefined; fqdn?: string | undefined },
): Promise<{ server: SourceServer; isNew: boolean }> {
  const at = services.clock().toISOString()
  const sourceServerId = newId('sourceServer', services.random)
  const known = await claim(services, userProvidedId, sourceServerId)
  if (known !== undefined) return { server: known, isNew: false }
  const blank = newAwaitedServer({ sourceServerId, at, userProvidedId, ...input })
  const server = withTemplates(blank, await newestTemplates(services))
  if (input.fqdn !== undefined) await noteAwaitedName(services.store, input.fqdn, sourceServerId)
  const revision = await createOwner(services, server, userProvidedId)
  await announce(services, { value: server, revision })
  return { server, isNew: true }
}

/**
 * Writes the server that has claimed the id, and answers its revision.
 * @throws ConflictError when it took so long that the id was given to another; there is no server then.
 */
export async function createOwner(
  { store, clock }: Pick<Services, 'store' | 'clock'>,
  server: SourceServer,
  userProvidedId: string,
): Promise<number> {
  const key = { id: server.sourceServerId }
  const revision = await store.create('server', key, server)
  const owner = await ownerOfId(store, userProvidedId, clock())
  if (owner !== undefined && owner !== 'TAKEN' && owner.sourceServerId === server.sourceServerId)
    return revision
  await store.remove('server', key, revision)
  throw beingAdded(userProvidedId)
}

/** The server that has the id. @throws ConflictError when somebody makes it at this moment. */
export async function ownerOf(
  { store, clock }: Pick<Services, 'store' | 'clock'>,
  userProvidedId: string,
): Promise<SourceServer | undefined> {
  return written(await ownerOfId(store, userProvidedId, clock()), userProvidedId)
}

function written(owner: IdOwner | undefined, userProvidedId: string): SourceServer | undefined {
  if (owner === 'TAKEN') throw beingAdded(userProvidedId)
  return owner
}

/**
 * Gives the id to a server that is made next; answers the server that has it already.
 * @throws ConflictError when somebody else makes that at this moment.
 */
export async function claim(
  { store, clock }: Pick<Services, 'store' | 'clock'>,
  userProvidedId: string,
  sourceServerId: SourceServerId,
): Promise<SourceServer | undefined> {
  return written(await claimOwnId(store, userProvidedId, sourceServerId, clock()), userProvidedId)
}

function beingAdded(userProvidedId: string): ConflictError {
  return new ConflictError(
    `A server with the id ${userProvidedId} is being added at this moment; try again in a minute`,
  )
}
