/**
 * Runs tasks: step after step, each saved before the next begins, by one worker at a time, from wherever the last one stopped.
 * @module
 */
import type { TaskId } from '../domain/ids.ts'
import type { StepOutput, Task } from '../domain/task.ts'
import type { QueueName } from '../queues/names.ts'
import type { StepName } from '../queues/task_steps.ts'
import type { Bench } from './bench.ts'
import type { Step, StepContext, StepResult } from './step.ts'
import { errorMessage, PermanentError } from '../domain/errors.ts'
import { nextQueue } from '../queues/task_steps.ts'
import { now, readServer } from './bench.ts'
import { HeldTask, LeaseLostError, leaseMs } from './held_task.ts'
import { writeJobLog } from './job_log.ts'
import { settle, startJob } from './settle.ts'
import { isLastTry, tellAbandoned, tellFailure, tellStuckUndo } from './step_failure.ts'
import { currentStep } from '../domain/task.ts'
import {
  beginStep,
  beginUndo,
  end,
  finishStep,
  finishUndo,
  givesUp,
  isOver,
  maxStepFailures,
  noteFailure,
  noteStuckUndo,
  redoFrom,
  stepToUndo,
} from './task_state.ts'

/** What a run came to: nothing more to do here, or run again after a while. */
export type RunResult = 'done' | { waitMs: number }

/** Runs tasks for one worker process. */
export class TaskRunner {
  readonly #bench: Bench
  readonly #steps: Readonly<Record<StepName, Step>>
  readonly #owner: string
  #runs = 0

  /** @param owner unique among the running workers. */
  constructor(bench: Bench, steps: Readonly<Record<StepName, Step>>, owner: string) {
    this.#bench = bench
    this.#steps = steps
    this.#owner = owner
  }

  /**
   * Does what is next for the task, as far as `queue` is the one that runs it.
   * @throws whatever a step throws that a retry may help, after it has been saved; LeaseLostError when another worker has the task.
   */
  async run(queue: QueueName, taskId: TaskId, signal: AbortSignal): Promise<RunResult> {
    // Each run is an owner of its own: after a loss of Redis the same process may be woken for a task it is still running.
    const held = await HeldTask.take(this.#bench, `${this.#owner}/${++this.#runs}`, taskId)
    if (held === undefined) return 'done'
    if ('busyUntilMs' in held)
      return { waitMs: Math.max(1000, held.busyUntilMs - this.#bench.clock().getTime()) }
    const lost = new AbortController()
    const timer = setInterval(() => void this.#renew(held, lost), leaseMs / 4)
    try {
      return await this.#runHeld(held, queue, AbortSignal.any([signal, lost.signal]))
    } catch (error) {
      // Whoever has it now goes on with it.
      if (error instanceof LeaseLostError) return 'done'
      throw error
    } finally {
      clearInterval(timer)
    }
  }

  /** Keeps the lease alive. A store that cannot be reached for a moment costs nothing while the lease still runs. */
  async #renew(held: HeldTask, lost: AbortController): Promise<void> {
    try {
      await held.renew()
    } catch (error) {
      if (error instanceof LeaseLostError || held.isExpired()) lost.abort(error)
      this.#bench.log.warn({ taskId: held.task.taskId }, `Cannot renew the lease: ${errorMessage(error)}`)
    }
  }

  async #runHeld(held: HeldTask, queue: QueueName, signal: AbortSignal): Promise<RunResult> {
    if (held.wasAbandoned) await tellAbandoned(this.#bench, held.task)
    if (!isOver(held.task)) await this.#endIfUnwanted(held)
    while (!isOver(held.task)) {
      const own = nextQueue(held.task)
      if (own !== undefined && own !== queue) {
        await held.release()
        await this.#bench.wakeUps.add(own, held.task.taskId)
        return 'done'
      }
      if (signal.aborted) {
        await held.release()
        return { waitMs: 0 }
      }
      if (held.task.status === 'UNDOING') await this.#undoStep(held)
      else if (currentStep(held.task) === undefined)
        await held.save(end(held.task, 'SUCCEEDED', now(this.#bench)))
      else {
        const result = await this.#runStep(held, signal)
        if (result !== 'done') {
          await held.release()
          return result
        }
      }
    }
    await settle(this.#bench, held.task)
    return 'done'
  }

  /** A task that its server does not name is nobody's: what it made is taken back. Servers name a task before it exists. */
  async #endIfUnwanted(held: HeldTask): Promise<void> {
    const { task } = held
    const server = await this.#bench.store.get('server', { id: task.sourceServerId })
    if (server === undefined)
      return held.save(end({ ...task, failure: 'The server was deleted' }, 'FAILED', now(this.#bench)))
    if (server.value.activeTask?.taskId === task.taskId || task.status === 'UNDOING') return
    await held.save(beginUndo(task, 'The server does not name this work any more'))
  }

  /** Runs the current step once. */
  async #runStep(held: HeldTask, signal: AbortSignal): Promise<RunResult> {
    const step = currentStep(held.task)
    if (step === undefined) return 'done'
    const isRerun = step.status === 'RUNNING'
    const name = step.name as StepName
    if (held.task.status === 'PENDING') await startJob(this.#bench, held.task)
    if (!isRerun) await held.save(beginStep(held.task, name, now(this.#bench)))
    let result: StepResult
    try {
      result = await this.#steps[name].run(await this.#context(held.task, name, isRerun, signal))
    } catch (error) {
      if (!signal.aborted) return await this.#failStep(held, name, error)
      // Stopped, not failed: the step runs again elsewhere.
      await held.release()
      throw error
    }
    if ('waitMs' in result) return result
    if ('done' in result) {
      await held.save(finishStep(held.task, name, result.done, now(this.#bench)))
      return 'done'
    }
    const { redoFrom: target, because } = result
    const before = held.task.steps.find((own) => own.name === target)?.attempts ?? 0
    if (before + 1 >= maxStepFailures) return this.#failStep(held, name, new PermanentError(because))
    this.#bench.log.warn({ taskId: held.task.taskId, step: name }, `Back to ${target}: ${because}`)
    await held.save(redoFrom(held.task, target))
    return 'done'
  }

  async #failStep(held: HeldTask, name: StepName, error: unknown): Promise<RunResult> {
    const message = errorMessage(error)
    const isNews = currentStep(held.task)?.error !== message
    this.#bench.log.error({ taskId: held.task.taskId, step: name, err: error }, message)
    await held.save(noteFailure(held.task, name, message))
    const { task } = held
    const failed = { task, name, error, attempts: currentStep(task)?.attempts ?? 0, isNews }
    await tellFailure(this.#bench, failed)
    if (isLastTry(failed)) {
      await held.save(beginUndo(task, message))
      return 'done'
    }
    await held.release()
    throw error
  }

  /** Takes back the last step that is not taken back yet; with none left the task has failed. Never given up: leftovers cost money. */
  async #undoStep(held: HeldTask): Promise<void> {
    const { task } = held
    const step = stepToUndo(task)
    if (step === undefined) return held.save(end(task, 'FAILED', now(this.#bench)))
    const name = step.name as StepName
    try {
      const server = await readServer(this.#bench, task.sourceServerId)
      await this.#steps[name].undo?.({ bench: this.#bench, task, server })
    } catch (error) {
      const message = errorMessage(error)
      this.#bench.log.error(
        { taskId: task.taskId, step: name, err: error },
        `Cannot take back ${name}: ${message}`,
      )
      if (step.error !== message) {
        await held.save(noteStuckUndo(task, name, message))
        await tellStuckUndo(this.#bench, task, name, message)
      }
      await held.release()
      throw error
    }
    await held.save(finishUndo(task, name, now(this.#bench)))
  }

  async #context(task: Task, name: StepName, isRerun: boolean, signal: AbortSignal): Promise<StepContext> {
    const step = task.steps.find((own) => own.name === name)
    if (step === undefined) throw new Error(`Task ${task.taskId} has no step ${name}`)
    const { jobId, sourceServerId } = task
    return {
      bench: this.#bench,
      task,
      step,
      server: await readServer(this.#bench, sourceServerId),
      isRerun,
      signal,
      output: (wanted): StepOutput => {
        const output = task.steps.find((own) => own.name === wanted)?.output
        if (output === undefined) throw new Error(`Step ${wanted} of task ${task.taskId} has left nothing`)
        return output
      },
      logJob: async (event, message, detail = {}) => {
        if (jobId === undefined) return
        const { targetInstanceId, rawError, part } = detail
        // Work that never gives up may need hundreds of attempts.
        const ofStep = givesUp(task) ? `${name}-${step.attempts}` : name
        await writeJobLog(this.#bench, {
          jobId,
          event,
          sourceServerId,
          message,
          part: part === undefined ? ofStep : `${name}-${part}`,
          ...(targetInstanceId === undefined ? {} : { targetInstanceId }),
          ...(rawError === undefined ? {} : { rawError }),
        })
      },
    }
  }
}
