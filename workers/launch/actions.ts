/**
 * Step: post-launch actions run on the launched machine, in order, one at a time. How far each is is saved before the next begins, and the
 * cloud runs what it is sent once, so that a worker that dies anywhere neither repeats an action nor leaves one out.
 *
 * An action that fails ends neither the launch nor the others: the machine is there to be looked at. One that must succeed holds up what
 * comes after the launch, which `domain/decide_action.ts` decides.
 * @module
 */
import type { CommandId, MachineId } from '../../domain/ids.ts'
import type { ActionRun, LaunchRuns } from '../../domain/post_launch_action.ts'
import { errorMessage, isPermanent, PermanentError } from '../../domain/errors.ts'
import { failed, openRun, outcomesOf, withRun } from '../../domain/post_launch_action.ts'
import type { StepOutput } from '../../domain/task.ts'
import { mutate } from '../../store/mutate.ts'
import { now } from '../bench.ts'
import { keepOutput } from '../evidence.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { valuesOf } from './action_values.ts'
import type { LaunchOutput } from './machine.ts'

/** A machine that has a login prompt, and no answer for its first command in this time, has no runner that works. */
const answerTimeoutMs = 300_000
/** The machine itself ends what takes too long; this much later it must have said so. */
const graceMs = 120_000
const lookAgainMs = 1000
/** What runs for long is looked at less often. */
const mostLookAgainMs = 10_000

/** The run that is due, and its place among those of the launch. */
interface DueRun {
  run: ActionRun
  index: number
}

async function run(context: StepContext): Promise<StepResult> {
  const { bench, task } = context
  const key = { parent: task.jobId ?? '', id: task.sourceServerId }
  const found = task.jobId === undefined ? undefined : await bench.store.get('launchRuns', key)
  if (found === undefined) return { done: [] }
  let launch = found.value
  for (;;) {
    const open = openRun(launch)
    if (open === undefined)
      return { done: outcomesOf(launch.runs).map((outcome): StepOutput => ({ ...outcome })) }
    const next = await advance(context, launch, open)
    if (next === undefined) return { waitMs: pauseOf(open.run, bench.clock()) }
    launch = next
    if (context.signal.aborted) return { waitMs: 0 }
  }
}

/** Takes the run that is due one stage further; undefined when there is nothing to save. */
async function advance(
  context: StepContext,
  launch: LaunchRuns,
  due: DueRun,
): Promise<LaunchRuns | undefined> {
  const { bench } = context
  const { run: own, index } = due
  if (own.status === 'WAITING') {
    const part = String(index + 1)
    await context.logJob('ACTION_START', `Post-launch action “${own.actionName}” begins`, { part })
    return save(context, (known) => withRun(known, index, { status: 'IN_PROGRESS', startedAt: now(bench) }))
  }
  try {
    if (own.executionId === undefined) {
      // Saved before anything is asked of it: what was sent is never sent with other values.
      const executionId = await send(context, due)
      return await save(context, (known) => withRun(known, index, { executionId }))
    }
    return await look(context, launch, { ...due, commandId: own.executionId as CommandId })
  } catch (error) {
    context.signal.throwIfAborted()
    const isAnswered = launch.discoveredAt !== undefined
    const isOver = lateness(own, { isAnswered, at: bench.clock() }) !== undefined
    if (isPermanent(error) || isOver)
      return finish(context, launch, index, failed(errorMessage(error), now(bench)))
    // The launch is not to fail of it, so it is not for the step to fail.
    bench.log.warn({ taskId: context.task.taskId, err: error }, `Cannot look after “${own.actionName}” now`)
    return undefined
  }
}

/** Sends the command. @throws PermanentError, NotFoundError, InvalidInputError; Error for trouble that may pass. */
async function send(context: StepContext, { run: own, index }: DueRun): Promise<CommandId> {
  const { bench, server, task } = context
  if (server.launchConfiguration.launchDisposition === 'STOPPED') {
    throw new PermanentError(
      'The machine was not started, so nothing can run on it: set its launch disposition to STARTED',
    )
  }
  const machineId = machineIdOf(context)
  return bench.cloud.sendCommand({
    clientToken: `${task.taskId}/action/${index}`,
    machineId,
    documentIdentifier: own.documentIdentifier,
    parameters: await valuesOf(bench, server, machineId, own),
    timeoutSeconds: own.timeoutSeconds,
  })
}

/** For whoever reads of a failure anywhere but there. */
const whereOutputIs = '; what it printed is in actions.log of the job'

/** Looks at the command once; undefined when nothing is new. */
async function look(
  context: StepContext,
  launch: LaunchRuns,
  { run: own, index, commandId }: DueRun & { commandId: CommandId },
): Promise<LaunchRuns | undefined> {
  const { bench } = context
  const command = await bench.cloud.describeCommand(machineIdOf(context), commandId)
  const isAnswered = command.state !== 'WAITING'
  if (isAnswered && launch.discoveredAt === undefined)
    return save(context, (known) => ({ ...known, discoveredAt: now(bench) }))
  if (command.state === 'SUCCEEDED')
    return finish(context, launch, index, { status: 'SUCCESS', endedAt: now(bench) })
  const because =
    command.state === 'FAILED'
      ? `${command.stateReason ?? 'It failed'}${whereOutputIs}`
      : ((await whyGone(context)) ?? lateness(own, { isAnswered, at: bench.clock() }))
  return because === undefined ? undefined : finish(context, launch, index, failed(because, now(bench)))
}

function machineIdOf(context: StepContext): MachineId {
  return (context.output('launch-machine') as unknown as LaunchOutput).machineId
}

/** Why nothing can come of a command any more: its machine does not run. */
async function whyGone(context: StepContext): Promise<string | undefined> {
  const machine = await context.bench.cloud.describeMachine(machineIdOf(context))
  if (machine?.state === 'RUNNING' || machine?.state === 'PENDING') return undefined
  return `The machine is ${machine?.state ?? 'gone'}: ${machine?.stateReason ?? 'nobody said why'}`
}

/** Why a command is waited for no longer; undefined while it may still come to an end. */
function lateness(own: ActionRun, { isAnswered, at }: { isAnswered: boolean; at: Date }): string | undefined {
  const elapsedMs = at.getTime() - Date.parse(own.startedAt ?? at.toISOString())
  if (!isAnswered && elapsedMs > answerTimeoutMs)
    return `The machine has not answered in ${answerTimeoutMs / 1000} s: see its serial console, and whether rehost-runner runs there`
  if (elapsedMs > own.timeoutSeconds * 1000 + answerTimeoutMs + graceMs)
    return `The machine has not said in time that the ${own.timeoutSeconds} s of the action are over`
  return undefined
}

/** Saves the end of a run, once its line is in the log and what was printed is kept. */
async function finish(
  context: StepContext,
  launch: LaunchRuns,
  index: number,
  end: Partial<ActionRun>,
): Promise<LaunchRuns> {
  const ended = withRun(launch, index, end)
  await keepOutput(context, await outputOf(context, ended))
  await tellEnd(context, ended, index)
  return save(context, (known) => withRun(known, index, end))
}

/** Says in the job's log how the run at `index` ended; what was printed may hold secrets and is not in it. */
async function tellEnd(context: StepContext, launch: LaunchRuns, index: number): Promise<void> {
  const own = launch.runs[index]
  if (own === undefined) return
  const part = String(index + 1)
  const { actionName, failureReason } = own
  if (own.status === 'SUCCESS') {
    await context.logJob('ACTION_END', `Post-launch action “${actionName}” succeeded`, { part })
    return
  }
  const must = own.mustSucceedForCutover ? ', and must succeed' : ''
  await context.logJob('ACTION_FAIL', `Post-launch action “${actionName}” failed${must}`, {
    part,
    ...(failureReason === undefined ? {} : { rawError: failureReason }),
  })
}

/** What each action printed, one after the other. The cloud keeps it for as long as the machine is there. */
async function outputOf(context: StepContext, { runs }: LaunchRuns): Promise<string> {
  const parts: string[] = []
  for (const { actionName, status, failureReason, executionId, startedAt, endedAt } of runs) {
    if (endedAt === undefined) continue
    const how =
      status === 'SUCCESS' ? 'succeeded' : `failed: ${failureReason?.replace(whereOutputIs, '') ?? ''}`
    const head = `=== ${actionName}, ${startedAt ?? endedAt} to ${endedAt}, ${how}\n`
    const output = executionId === undefined ? '' : await printedBy(context, executionId as CommandId)
    parts.push(head + (output === '' || output.endsWith('\n') ? output : `${output}\n`))
  }
  return parts.join('\n')
}

async function printedBy(context: StepContext, id: CommandId): Promise<string> {
  try {
    return (await context.bench.cloud.describeCommand(machineIdOf(context), id)).output
  } catch (error) {
    return `(what it printed cannot be read: ${errorMessage(error)})\n`
  }
}

async function save(context: StepContext, change: (known: LaunchRuns) => LaunchRuns): Promise<LaunchRuns> {
  const { bench, task } = context
  const key = { parent: task.jobId ?? '', id: task.sourceServerId }
  const { value } = await mutate(bench.store, 'launchRuns', key, change)
  if (task.jobId !== undefined) await bench.changes.publish({ kind: 'job', id: task.jobId })
  return value
}

/** The longer a command runs, the later it is looked at again. */
function pauseOf({ startedAt }: ActionRun, at: Date): number {
  const elapsedMs = startedAt === undefined ? 0 : at.getTime() - Date.parse(startedAt)
  return Math.min(Math.max(lookAgainMs, elapsedMs / 20), mostLookAgainMs)
}

/** `run-actions`. */
export const runActions: Step = { name: 'run-actions', run }
