/**
 * What a failed try of a step, or of taking one back, means: who is told, once for each reason, and whether the task is given up.
 * @module
 */
import type { Task } from '../domain/task.ts'
import type { StepName } from '../queues/task_steps.ts'
import type { Bench } from './bench.ts'
import { errorMessage, isPermanent } from '../domain/errors.ts'
import { withEvent } from '../domain/source_server.ts'
import { changeServer, now } from './bench.ts'
import { writeJobLog } from './job_log.ts'
import { failureEvents, machineOf, withStagingTrouble } from './outcomes.ts'
import { currentStep } from '../domain/task.ts'
import { givesUp, maxStepFailures } from './task_state.ts'
import { digits } from './token.ts'

/** A try that failed. */
export interface FailedTry {
  /** As saved after the failure. */
  task: Task
  name: StepName
  error: unknown
  /** Failures of the step so far, this one too. */
  attempts: number
  /** The step did not fail for this reason before. */
  isNews: boolean
}

/** Whether the task ends here: no retry can help, or there were enough. Never for work that takes things away. */
export function isLastTry({ task, error, attempts }: FailedTry): boolean {
  return givesUp(task) && (isPermanent(error) || attempts >= maxStepFailures)
}

/** Tells job and server of a try that failed. */
export async function tellFailure(bench: Bench, failed: FailedTry): Promise<void> {
  const { task, name, error, attempts, isNews } = failed
  const message = errorMessage(error)
  if (task.kind === 'STAGING') {
    await changeServer(bench, task.sourceServerId, (server) =>
      withStagingTrouble(server, task, message, now(bench)),
    )
    return
  }
  if (givesUp(task)) {
    const words = isLastTry(failed)
      ? 'Given up; what was made is taken back'
      : `Attempt ${attempts} of ${maxStepFailures} failed; Rehost tries again`
    await logTrouble(bench, task, name, { message: words, rawError: message, attempts })
  } else if (isNews) {
    // Nobody gives up here, so the operator must be told what stands in the way.
    const words = `${message}. Rehost tries again until it succeeds`
    await changeServer(bench, task.sourceServerId, (server) =>
      withEvent(server, now(bench), { type: 'JOB', level: 'ERROR', message: words }),
    )
    await logTrouble(bench, task, name, {
      message: 'Rehost tries again until it succeeds',
      rawError: message,
      attempts,
    })
  }
}

/** Tells that the worker that ran a step ended in the middle of it, which is why it begins again. */
export async function tellAbandoned(bench: Bench, task: Task): Promise<void> {
  const step = currentStep(task)
  if (step?.status !== 'RUNNING' || task.status !== 'RUNNING') return
  const message = 'The worker that did this ended in the middle of it; it is done again'
  bench.log.warn({ taskId: task.taskId, step: step.name }, `Step ${step.name}: ${message}`)
  const { jobId, sourceServerId } = task
  const event = failureEvents[step.name as StepName]
  if (jobId === undefined || event === undefined) return
  const part = `${step.name}-abandoned-${task.leaseEpoch}`
  await writeJobLog(bench, { jobId, event, sourceServerId, message, part })
}

/** Tells job and server that something cannot be taken back now. It is tried until it can, so this is told once for each reason. */
export async function tellStuckUndo(
  bench: Bench,
  task: Task,
  name: StepName,
  rawError: string,
): Promise<void> {
  const words = `Cannot take back what the step ${name} made: ${rawError}. Rehost tries again until it succeeds`
  await changeServer(bench, task.sourceServerId, (server) =>
    withEvent(server, now(bench), { type: 'JOB', level: 'ERROR', message: words }),
  )
  const { jobId, sourceServerId } = task
  if (jobId === undefined) return
  await writeJobLog(bench, {
    jobId,
    event: 'CLEANUP_FAIL',
    sourceServerId,
    message: `Cannot take back what the step ${name} made; Rehost tries again until it succeeds`,
    rawError,
    part: `${name}-${digits(rawError)}`,
  })
}

async function logTrouble(
  bench: Bench,
  task: Task,
  name: StepName,
  { message, rawError, attempts }: { message: string; rawError: string; attempts: number },
): Promise<void> {
  const { jobId, sourceServerId } = task
  const event = failureEvents[name]
  if (jobId === undefined || event === undefined) return
  const targetInstanceId = machineOf(task)
  await writeJobLog(bench, {
    jobId,
    event,
    sourceServerId,
    message,
    rawError,
    part: `${name}-${attempts}`,
    ...(givesUp(task) ? { attemptCount: attempts, maxAttemptsCount: maxStepFailures } : {}),
    ...(targetInstanceId === undefined ? {} : { targetInstanceId }),
  })
}
