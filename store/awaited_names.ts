/**
 * Names of hosts whose agents are awaited, so that an agent finds its server in the store however many there are.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Store } from './store.ts'
import { plainHost } from '../domain/awaited_server.ts'
import { allNoted, forgetNote, noteKey, noteServer } from './noted_servers.ts'

function parentOf(name: string): string {
  return noteKey(plainHost(name))
}

/** Has a server be found under a name; written before the server has it. */
export function noteAwaitedName(store: Store, name: string, sourceServerId: SourceServerId): Promise<void> {
  return noteServer(store, 'awaitedName', parentOf(name), sourceServerId)
}

/** Forgets the name of a server that is deleted. */
export function forgetAwaitedName(store: Store, name: string, id: SourceServerId): Promise<void> {
  return forgetNote(store, 'awaitedName', parentOf(name), id)
}

/** The servers that were ever awaited under one of `names`, as they are now. */
export async function serversNoted(store: Store, names: readonly string[]): Promise<SourceServer[]> {
  return await allNoted(store, 'awaitedName', [...new Set(names.map(parentOf))])
}
