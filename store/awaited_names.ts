/**
 * Names of hosts whose agents are awaited, so that an agent finds its server in the store however many there are. A name is written before its server, and may
 * stay behind: who reads it looks at the servers themselves.
 * @module
 */
import { createHash } from 'node:crypto'
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Key, Store } from './store.ts'
import { plainHost } from '../domain/awaited_server.ts'
import { listAll } from './listing.ts'
import { RevisionConflictError } from './store.ts'

/** Names are of any characters and length. */
function parentOf(name: string): string {
  return createHash('sha256').update(plainHost(name)).digest('hex')
}

function keyOf(name: string, sourceServerId: SourceServerId): Key {
  return { parent: parentOf(name), id: sourceServerId }
}

/** Has a server be found under a name; written before the server has it. */
export async function noteAwaitedName(
  store: Store,
  name: string,
  sourceServerId: SourceServerId,
): Promise<void> {
  try {
    await store.create('awaitedName', keyOf(name, sourceServerId), { name, sourceServerId })
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
}

/** Forgets the name of a server that is deleted. */
export async function forgetAwaitedName(
  store: Store,
  name: string,
  sourceServerId: SourceServerId,
): Promise<void> {
  await store.remove('awaitedName', keyOf(name, sourceServerId))
}

/** The servers that were ever awaited under one of `names`, as they are now. */
export async function serversNoted(store: Store, names: readonly string[]): Promise<SourceServer[]> {
  const parents = [...new Set(names.map(parentOf))]
  const noted = await Promise.all(parents.map((parent) => listAll(store, 'awaitedName', parent)))
  const ids = [...new Set(noted.flat().map(({ sourceServerId }) => sourceServerId))]
  const found = await Promise.all(ids.map((id) => store.get('server', { id })))
  return found.flatMap((server) => server?.value ?? [])
}
