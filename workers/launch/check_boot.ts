/**
 * Step: wait until the machine has come up and what must answer answers. Its console is kept while it comes up, its screen at the end,
 * whatever the end is.
 * @module
 */
import type { LaunchOutput } from './machine.ts'
import type { Step, StepContext, StepResult, UndoContext } from '../step.ts'
import { PermanentError } from '../../domain/errors.ts'
import { keepConsole, keepEvidence, keepScreen, maxConsoleBytes } from '../evidence.ts'
import { machineOf } from '../outcomes.ts'
import { bootVerdict, lastLines } from './boot_verdict.ts'
import { httpProblem } from './http_check.ts'

const lookAgainMs = 1000
/** Ends the step with `reason`; console and screen have been kept when the operator reads it. */
async function fail(context: StepContext, { machineId }: LaunchOutput, reason: string): Promise<never> {
  await keepEvidence(context, machineId)
  throw new PermanentError(`The launched machine did not come up: ${reason}`)
}

async function run(context: StepContext): Promise<StepResult> {
  const { bench, server, step, signal } = context
  const launched = context.output('launch-machine') as unknown as LaunchOutput
  const configuration = server.launchConfiguration
  if (configuration.launchDisposition === 'STOPPED') return { done: { checked: [] } }
  const machine = await bench.cloud.describeMachine(launched.machineId)
  const { consoleText: hasConsole } = bench.cloud.capabilities
  const consoleText =
    machine === undefined || !hasConsole
      ? ''
      : await bench.cloud.consoleText(launched.machineId, maxConsoleBytes)
  // At every look: a worker that dies here, or a machine that does, leaves what was printed so far.
  await keepConsole(context, consoleText)
  if (machine === undefined || (machine.state !== 'RUNNING' && machine.state !== 'PENDING')) {
    const why = machine?.stateReason ?? (lastLines(consoleText) || 'its console is empty')
    return fail(context, launched, `it is ${machine?.state ?? 'gone'}: ${why}`)
  }
  // Without a console only the checks can tell.
  const boot = hasConsole ? bootVerdict(consoleText) : ({ verdict: 'UP' } as const)
  if (boot.verdict === 'FAILED') return fail(context, launched, boot.reason)
  const problems: string[] = []
  if (boot.verdict === 'WAITING')
    problems.push(`no login prompt; the console ends with: ${lastLines(consoleText) || 'nothing'}`)
  else {
    for (const check of configuration.httpChecks) {
      const problem = await httpProblem(bench.fetch, machine, check, signal)
      if (problem !== undefined) problems.push(problem)
    }
  }
  if (problems.length === 0) {
    await keepScreen(context, launched.machineId)
    return {
      done: {
        checked: ['login prompt', ...configuration.httpChecks.map(({ port, path }) => `port ${port}${path}`)],
      },
    }
  }
  const waitedMs = bench.clock().getTime() - Date.parse(step.startedAt ?? bench.clock().toISOString())
  if (waitedMs > configuration.bootTimeoutSeconds * 1000) {
    return fail(context, launched, `after ${configuration.bootTimeoutSeconds} s: ${problems.join('; ')}`)
  }
  return { waitMs: lookAgainMs }
}

/** Before the machine is taken away: a check that trouble of another kind has ended has kept no screen yet. */
async function undo(context: UndoContext): Promise<void> {
  const machineId = machineOf(context.task)
  if (machineId !== undefined) await keepEvidence(context, machineId)
}

/** `check-boot`. */
export const checkBoot: Step = { name: 'check-boot', run, undo }
