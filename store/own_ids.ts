/**
 * Ids that users gave their servers, each claimed by one server. A claim is written before its server is, so one without a server may be another's who
 * died, or who is about to write it.
 * @module
 */
import { createHash } from 'node:crypto'
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Entities, Store } from './store.ts'
import { RevisionConflictError } from './store.ts'

/** Whoever has claimed an id writes the server at once. */
const writingMs = 60_000

/** Ids are of any characters and length. */
function keyOf(userProvidedId: string): { id: string } {
  return { id: createHash('sha256').update(userProvidedId).digest('hex') }
}

/** Who has an id: a server, or somebody who is about to write one. */
export type IdOwner = SourceServer | 'TAKEN'

/** Who has claimed the id. Undefined when nobody has, or the server is gone or was never written. */
export async function ownerOfId(
  store: Store,
  userProvidedId: string,
  now: Date,
): Promise<IdOwner | undefined> {
  const claim = await store.get('ownId', keyOf(userProvidedId))
  return claim && ownerOfClaim(store, claim.value, now)
}

async function ownerOfClaim(
  store: Store,
  { sourceServerId, claimedAt }: Entities['ownId'],
  now: Date,
): Promise<IdOwner | undefined> {
  const server = await store.get('server', { id: sourceServerId })
  if (server !== undefined) return server.value
  return now.getTime() - Date.parse(claimedAt) < writingMs ? 'TAKEN' : undefined
}

/** Claims the id for a server that is written next. Undefined when that is done, else who has it. */
export async function claimOwnId(
  store: Store,
  userProvidedId: string,
  sourceServerId: SourceServerId,
  now: Date,
): Promise<IdOwner | undefined> {
  const key = keyOf(userProvidedId)
  const claim = { userProvidedId, sourceServerId, claimedAt: now.toISOString() }
  const known = await store.get('ownId', key)
  try {
    if (known === undefined) {
      await store.create('ownId', key, claim)
      return undefined
    }
    const owner = await ownerOfClaim(store, known.value, now)
    if (owner === undefined) await store.replace('ownId', key, known.revision, claim)
    return owner
  } catch (error) {
    if (error instanceof RevisionConflictError) return 'TAKEN'
    throw error
  }
}

/** Gives up the claim of a server that is deleted. */
export async function releaseOwnId(
  store: Store,
  userProvidedId: string,
  sourceServerId: SourceServerId,
): Promise<void> {
  const key = keyOf(userProvidedId)
  const claim = await store.get('ownId', key)
  if (claim?.value.sourceServerId === sourceServerId) await store.remove('ownId', key, claim.revision)
}
