/**
 * Commands on machines: what was asked lies in the machine's folder before the guest hears of it, and how it ended once the guest has said
 * so. The guest itself keeps each command from running twice.
 * @module
 */
import path from 'node:path'
import { z } from 'zod'
import { shellScriptOf } from '../../domain/command_document.ts'
import { NotFoundError } from '../../domain/errors.ts'
import type { CommandId, MachineId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import { requireCommandable } from '../commandable.ts'
import type { CloudCommand, CommandSpec } from '../provider.ts'
import type { QemuContext } from './context.ts'
import { makeFolder, readJson, writeJson } from './files.ts'
import { withLock } from './lock.ts'
import { readMachine } from './machines.ts'
import type { RunnerAnswer } from './command_port.ts'
import { askRunner, lookLine, runLine } from './command_port.ts'

/** A command's file. The script is there until the guest has it: it may hold secrets. */
const commandSchema = z.object({
  timeoutSeconds: z.number(),
  script: z.object({ text: z.string(), workingDirectory: z.string().optional() }).optional(),
  ended: z
    .object({
      state: z.enum(['SUCCEEDED', 'FAILED']),
      stateReason: z.string().optional(),
      output: z.string(),
    })
    .optional(),
})
type Command = z.infer<typeof commandSchema>

/** Notes the command; it reaches the guest when it is looked at. @throws NotFoundError, PermanentError, InvalidInputError. */
export async function sendCommand(context: QemuContext, spec: CommandSpec): Promise<CommandId> {
  const id = idFromToken('command', spec.clientToken)
  return await withLock(context.layout.machine(spec.machineId), async () => {
    const machine = await readMachine(context, spec.machineId)
    if (machine === undefined) throw new NotFoundError('machine', spec.machineId)
    requireCommandable(machine.takesCommands === true, spec)
    const file = fileOf(context, spec.machineId, id)
    if ((await readJson(file, commandSchema)) !== undefined) return id
    const { timeoutSeconds, ...script } = shellScriptOf(spec.parameters, spec.timeoutSeconds)
    await makeFolder(path.dirname(file))
    await writeJson(file, { timeoutSeconds, script } satisfies Command)
    return id
  })
}

/** How it goes, as the guest tells it now. @throws NotFoundError. */
export async function describeCommand(
  context: QemuContext,
  machineId: MachineId,
  commandId: CommandId,
): Promise<CloudCommand> {
  if ((await readMachine(context, machineId)) === undefined) throw new NotFoundError('machine', machineId)
  const file = fileOf(context, machineId, commandId)
  const command = await readJson(file, commandSchema)
  if (command === undefined) throw new NotFoundError('command', commandId)
  if (command.ended !== undefined) return viewOf(command.ended)
  const { script, timeoutSeconds } = command
  const line = script === undefined ? lookLine(commandId) : runLine(commandId, ofFile(script, timeoutSeconds))
  const answer = await askRunner(context.layout.machine(machineId), commandId, line)
  if (answer === undefined) return { state: script === undefined ? 'RUNNING' : 'WAITING', output: '' }
  const ended = endOf(answer, timeoutSeconds)
  // From here on the guest knows it.
  await writeJson(file, { timeoutSeconds, ...(ended === undefined ? {} : { ended }) } satisfies Command)
  return ended === undefined ? { state: 'RUNNING', output: '' } : viewOf(ended)
}

function fileOf(context: QemuContext, machineId: MachineId, commandId: CommandId): string {
  return path.join(context.layout.machine(machineId), 'commands', `${commandId}.json`)
}

function ofFile(
  { text, workingDirectory }: NonNullable<Command['script']>,
  timeoutSeconds: number,
): Parameters<typeof runLine>[1] {
  return { text, timeoutSeconds, ...(workingDirectory === undefined ? {} : { workingDirectory }) }
}

function viewOf({ state, stateReason, output }: NonNullable<Command['ended']>): CloudCommand {
  return { state, output, ...(stateReason === undefined ? {} : { stateReason }) }
}

/** What it means that a machine knows nothing of a command. */
const refusals = {
  UNKNOWN: 'The machine has lost it: its disks were set back',
  REFUSED: 'The machine cannot keep it: look whether its disk is full',
}

/** How a command has ended by what the guest says; undefined while it runs. */
function endOf(answer: RunnerAnswer, timeoutSeconds: number): Command['ended'] {
  if (answer.state === 'RUNNING') return undefined
  if (answer.state !== 'DONE') return { state: 'FAILED', stateReason: refusals[answer.state], output: '' }
  const { how, exitCode, output } = answer
  if (how === 'EXITED' && exitCode === 0) return { state: 'SUCCEEDED', output }
  const reasons = {
    EXITED: `It ended with exit code ${exitCode}`,
    TIMED_OUT: `It ran for longer than ${timeoutSeconds} s and was ended`,
    INTERRUPTED: 'The machine was started again in the middle of it',
  }
  return { state: 'FAILED', stateReason: reasons[how], output }
}
