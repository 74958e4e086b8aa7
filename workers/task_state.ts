/**
 * The saved state of a task as it moves: pure functions from one state to the next.
 * @module
 */
import type { StepOutput, Task, TaskStep } from '../domain/task.ts'
import type { StepName } from '../queues/task_steps.ts'
import { currentStep } from '../domain/task.ts'

/** Failures of one step after which a task gives up. With the queue's back-off this is about two minutes. */
export const maxStepFailures = 8

/**
 * Work that takes things away never gives up: what is left over would cost money. It is only tried less often. Finalizing takes nothing
 * away before the machine stands alone, and gives up until then: the operator may have to launch another one.
 */
export function givesUp(task: Task): boolean {
  if (task.kind === 'FINALIZE') return currentStep(task)?.name === 'detach-machine'
  return task.kind === 'STAGING' || task.kind === 'LAUNCH'
}

/** `task` with the step called `name` changed. */
export function withStep(task: Task, name: string, change: (step: TaskStep) => TaskStep): Task {
  return { ...task, steps: task.steps.map((step) => (step.name === name ? change(step) : step)) }
}

/** `task` with the step begun; its first start is kept, since deadlines count from it. */
export function beginStep(task: Task, name: string, at: string): Task {
  return withStep({ ...task, status: 'RUNNING' }, name, (step) => ({
    ...step,
    status: 'RUNNING',
    startedAt: step.startedAt ?? at,
  }))
}

/** `task` with the step done. */
export function finishStep(task: Task, name: string, output: StepOutput, at: string): Task {
  return withStep(task, name, ({ error: _past, ...step }) => ({
    ...step,
    status: 'DONE',
    output,
    endedAt: at,
  }))
}

/** `task` with a failure of the step noted. */
export function noteFailure(task: Task, name: string, error: string): Task {
  return withStep(task, name, (step) => ({ ...step, status: 'PENDING', attempts: step.attempts + 1, error }))
}

/** `task` whose worker has died, in the middle of a step if one had begun. */
export function noteAbandonment(task: Task): Task {
  const step = currentStep(task)
  if (step?.status !== 'RUNNING') return task
  return withStep(task, step.name, (own) => ({ ...own, abandonments: (own.abandonments ?? 0) + 1 }))
}

/** `task` set back to the step called `name`, which and all later ones run again. It counts as a try of that step that failed. */
export function redoFrom(task: Task, name: StepName): Task {
  const position = task.steps.findIndex((step) => step.name === name)
  return {
    ...task,
    steps: task.steps.map(({ name: own, attempts, ...step }, index) =>
      index < position
        ? { name: own, attempts, ...step }
        : { name: own, status: 'PENDING', attempts: index === position ? attempts + 1 : attempts },
    ),
  }
}

/** `task` with a reason why the step cannot be taken back now. */
export function noteStuckUndo(task: Task, name: string, error: string): Task {
  return withStep(task, name, (step) => ({ ...step, error }))
}

/** `task` about to take back what it did, for `failure`. The step that failed stays marked; what never began has nothing to take back. */
export function beginUndo(task: Task, failure: string): Task {
  const failed = currentStep(task)?.name
  const steps = task.steps.map((step): TaskStep => {
    if (step.name === failed) return { ...step, status: 'FAILED' }
    return step.status === 'PENDING' ? { ...step, status: 'SKIPPED' } : step
  })
  return { ...task, status: 'UNDOING', failure, steps }
}

/** The step to take back now, last first; undefined when nothing is left. */
export function stepToUndo(task: Task): TaskStep | undefined {
  return task.steps.findLast(
    ({ status, endedAt }) => status === 'DONE' || (status === 'FAILED' && endedAt === undefined),
  )
}

/** `task` with the step taken back. The one that failed stays FAILED, so that the operator sees where it went wrong. */
export function finishUndo(task: Task, name: string, at: string): Task {
  return withStep(task, name, ({ error, ...step }) =>
    step.status === 'FAILED'
      ? { ...step, ...(error === undefined ? {} : { error }), endedAt: at }
      : { ...step, status: 'UNDONE', endedAt: at },
  )
}

/** `task` ended. */
export function end(task: Task, status: 'SUCCEEDED' | 'FAILED', at: string): Task {
  const { lease: _over, ...rest } = task
  return { ...rest, status, endedAt: at }
}

/** Whether it has ended. */
export function isOver(task: Task): boolean {
  return task.status === 'SUCCEEDED' || task.status === 'FAILED'
}
