/**
 * Commands on machines of the memory cloud: what a test's guest says that they came to.
 * @module
 */
import { shellScriptOf } from '../../domain/command_document.ts'
import { NotFoundError } from '../../domain/errors.ts'
import type { CommandId, MachineId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import { requireCommandable } from '../commandable.ts'
import type { CloudCommand, CommandSpec } from '../provider.ts'
import type { MemoryContext } from './context.ts'
import { findMachine } from './machines.ts'

/** Notes a command, which has run from then on. @throws NotFoundError, PermanentError, InvalidInputError. */
export function sendCommand(context: MemoryContext, spec: CommandSpec): CommandId {
  const machine = findMachine(context, spec.machineId)
  requireCommandable(machine.takesCommands, spec)
  const id = idFromToken('command', spec.clientToken)
  if (machine.commands.has(id)) return id
  const script = shellScriptOf(spec.parameters, spec.timeoutSeconds)
  machine.commands.set(id, script)
  context.cloud.ran.push(script)
  return id
}

/** What the guest says of it. @throws NotFoundError. */
export function describeCommand(
  context: MemoryContext,
  machineId: MachineId,
  commandId: CommandId,
): CloudCommand {
  const script = findMachine(context, machineId).commands.get(commandId)
  if (script === undefined) throw new NotFoundError('command', commandId)
  return context.cloud.commandGuest(script)
}
