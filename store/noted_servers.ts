/**
 * Servers noted under something that they say of themselves, so that whoever looks for it need not read all servers. The note is written before the server says
 * it, and stays when the server no longer does: who reads notes looks at the servers.
 * @module
 */
import { createHash } from 'node:crypto'
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Entities, Store } from './store.ts'
import { listAll } from './listing.ts'
import { RevisionConflictError } from './store.ts'

/** What servers are noted under. */
export type NotedUnder = 'awaitedName' | 'applicationMember' | 'knownMachine'

/** Servers read at the same time. */
const parallelReads = 25

/** What others have named is of any characters and length: a key of it. */
export function noteKey(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

/** Notes a server; written before the server says what it is noted under. */
export async function noteServer(
  store: Store,
  kind: NotedUnder,
  parent: string,
  sourceServerId: SourceServerId,
): Promise<void> {
  const note: Entities[NotedUnder] = { sourceServerId }
  try {
    await store.create(kind, { parent, id: sourceServerId }, note)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
}

/** The servers noted under one of `parents`, as they are now, a few at a time. */
export async function* notedServers(
  store: Store,
  kind: NotedUnder,
  parents: readonly string[],
): AsyncGenerator<SourceServer[]> {
  const noted = await Promise.all(parents.map((parent) => listAll(store, kind, parent)))
  const ids = [...new Set(noted.flat().map(({ sourceServerId }) => sourceServerId))]
  for (let first = 0; first < ids.length; first += parallelReads) {
    const some = ids.slice(first, first + parallelReads)
    const found = await Promise.all(some.map((id) => store.get('server', { id })))
    yield found.flatMap((server) => server?.value ?? [])
  }
}

/** All servers noted under one of `parents`, which are few. */
export async function allNoted(
  store: Store,
  kind: NotedUnder,
  parents: readonly string[],
): Promise<SourceServer[]> {
  const found: SourceServer[] = []
  for await (const servers of notedServers(store, kind, parents)) found.push(...servers)
  return found
}

/** Forgets one server under what it is noted under. */
export function forgetNote(
  store: Store,
  kind: NotedUnder,
  parent: string,
  id: SourceServerId,
): Promise<void> {
  return store.remove(kind, { parent, id })
}

/** Forgets all that is noted under what is gone. */
export async function forgetNotes(store: Store, kind: NotedUnder, parent: string): Promise<void> {
  for (const { sourceServerId: id } of await listAll(store, kind, parent))
    await forgetNote(store, kind, parent, id)
}
