/**
 * What is kept of a launch for the operator: the conversion's report, the machine's serial console while it comes up, its screen at the
 * end. A launch never fails because one of these could not be had or saved.
 * @module
 */
import type { MachineId } from '../domain/ids.ts'
import type { ArtefactName } from './artefacts.ts'
import type { UndoContext } from './step.ts'
import { errorMessage } from '../domain/errors.ts'

/** Console kept for the operator. */
export const maxConsoleBytes = 256 * 1024

/** Saves what the conversion found and did. */
export async function keepReport(context: UndoContext, report: unknown): Promise<void> {
  await save(context, 'conversion.json', JSON.stringify(report))
}

/** Saves what actions printed; what was saved before is replaced. */
export async function keepOutput(context: UndoContext, output: string): Promise<void> {
  await save(context, 'actions.log', output)
}

/** Saves the console so far; what was saved before is replaced. */
export async function keepConsole(context: UndoContext, consoleText: string): Promise<void> {
  if (consoleText !== '') await save(context, 'serial.log', consoleText)
}

/** Saves the screen as it is now, if the machine has one. */
export async function keepScreen(context: UndoContext, machineId: MachineId): Promise<void> {
  const { cloud } = context.bench
  if (!cloud.capabilities.screenshots) return
  const png = await orWarn(context, `read the screen of machine ${machineId}`, () =>
    cloud.screenshot(machineId),
  )
  if (png !== undefined) await save(context, 'screenshot.png', png)
}

/** Saves console and screen of a machine that is about to be taken away, whatever ended its launch. */
export async function keepEvidence(context: UndoContext, machineId: MachineId): Promise<void> {
  const { cloud } = context.bench
  if (cloud.capabilities.consoleText) {
    const text = await orWarn(context, `read the console of machine ${machineId}`, () =>
      cloud.consoleText(machineId, maxConsoleBytes),
    )
    if (text !== undefined) await keepConsole(context, text)
  }
  await keepScreen(context, machineId)
}

async function save(context: UndoContext, name: ArtefactName, content: string | Uint8Array): Promise<void> {
  const { bench, task } = context
  const { jobId, sourceServerId } = task
  if (jobId === undefined) return
  await orWarn(context, `save ${name}`, () => bench.artefacts.write(jobId, sourceServerId, name, content))
}

/** The answer of `work`, or undefined when it failed, which is in the log then. */
async function orWarn<T>(
  { bench, task }: UndoContext,
  what: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    bench.log.warn({ taskId: task.taskId, err: error }, `Cannot ${what}: ${errorMessage(error)}`)
    return undefined
  }
}
