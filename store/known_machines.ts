/**
 * Machines by machine id and network address, so that one that enrolled a moment ago, at this gateway or another, is known again however many there are.
 * Clones share the machine id, a fleet made of one image all of them: by that alone each of them would read all the others.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceProperties, SourceServer } from '../domain/source_server.ts'
import type { Store } from './store.ts'
import { macAddresses } from '../domain/machine_copy.ts'
import { allNoted, forgetNote, noteKey, noteServer } from './noted_servers.ts'

/** What a machine is noted under: all that one may have in common with itself later. A machine that tells no id is found by nobody. */
function parentsOf(properties: SourceProperties): string[] {
  const { machineId } = properties.identificationHints
  if (machineId === undefined) return []
  const addresses = [...macAddresses(properties)]
  const names = addresses.length === 0 ? [''] : addresses
  return names.map((address) => noteKey(JSON.stringify([machineId, address])))
}

/** Has a server be found by its machine; written before the server has it. */
export async function noteMachine(
  store: Store,
  properties: SourceProperties,
  id: SourceServerId,
): Promise<void> {
  await Promise.all(parentsOf(properties).map((parent) => noteServer(store, 'knownMachine', parent, id)))
}

/** Forgets the machine of a server that is deleted. */
export async function forgetMachine(
  store: Store,
  properties: SourceProperties,
  id: SourceServerId,
): Promise<void> {
  await Promise.all(parentsOf(properties).map((parent) => forgetNote(store, 'knownMachine', parent, id)))
}

/** The servers that ever enrolled from a machine with this machine id and one of these addresses, as they are now. */
export async function serversOfMachine(store: Store, properties: SourceProperties): Promise<SourceServer[]> {
  return await allNoted(store, 'knownMachine', parentsOf(properties))
}
