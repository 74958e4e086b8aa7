/**
 * What local clouds refuse to have run.
 * @module
 */
import { knownDocuments } from '../domain/command_document.ts'
import { PermanentError } from '../domain/errors.ts'
import type { CommandSpec } from './provider.ts'

/** @throws PermanentError when the machine takes no commands, or the document is not known. */
export function requireCommandable(
  takesCommands: boolean,
  { machineId, documentIdentifier }: Pick<CommandSpec, 'machineId' | 'documentIdentifier'>,
): void {
  if (!knownDocuments.includes(documentIdentifier))
    throw new PermanentError(
      `Cannot run document ${documentIdentifier}: the local cloud runs ${knownDocuments.join(' and ')}`,
    )
  if (!takesCommands)
    throw new PermanentError(
      `Cannot send commands to machine ${machineId}: it was launched when there was nothing to run; launch it again`,
    )
}
