/**
 * Machines by their machine ids, so that one that enrolled a moment ago, at this gateway or another, is known again however many there are.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceProperties, SourceServer } from '../domain/source_server.ts'
import type { Store } from './store.ts'
import { allNoted, forgetNote, noteKey, noteServer } from './noted_servers.ts'

/** Has a server be found by its machine; written before the server has it. A machine that tells no id is found by nobody. */
export async function noteMachine(
  store: Store,
  { identificationHints }: SourceProperties,
  id: SourceServerId,
): Promise<void> {
  const { machineId } = identificationHints
  if (machineId !== undefined) await noteServer(store, 'knownMachine', noteKey(machineId), id)
}

/** Forgets the machine of a server that is deleted. */
export async function forgetMachine(
  store: Store,
  { identificationHints }: SourceProperties,
  id: SourceServerId,
): Promise<void> {
  const { machineId } = identificationHints
  if (machineId !== undefined) await forgetNote(store, 'knownMachine', noteKey(machineId), id)
}

/** The servers that ever enrolled from a machine with this machine id, clones too, as they are now. */
export async function serversOfMachine(
  store: Store,
  { identificationHints }: SourceProperties,
): Promise<SourceServer[]> {
  const { machineId } = identificationHints
  return machineId === undefined ? [] : await allNoted(store, 'knownMachine', [noteKey(machineId)])
}
