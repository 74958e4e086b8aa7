/**
 * A step: one named, idempotent piece of a task. It may be run again at any time, also by another process and after a crash in its middle.
 * @module
 */
import type { MachineId } from '../domain/ids.ts'
import type { JobLogEvent } from '../domain/job.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { StepOutput, Task, TaskStep } from '../domain/task.ts'
import type { StepName } from '../queues/task_steps.ts'
import type { Bench } from './bench.ts'

/** What a run of a step came to. */
export type StepResult =
  /** Finished; the output is saved for the steps after it. */
  | { done: StepOutput }
  /** Nothing to do for a while: the slot is given back and the step runs again later. */
  | { waitMs: number }
  /** What an earlier step gave is no longer good: begin again from there. */
  | { redoFrom: StepName; because: string }

/** What a step is given. */
export interface StepContext {
  bench: Bench
  task: Task
  /** This step as saved before the run: its first start, its failures so far. */
  step: TaskStep
  /** The server at the beginning of the run; later changes go through `changeServer`. */
  server: SourceServer
  /** The step was running already when a process died: its effects may be half there. */
  isRerun: boolean
  /** Aborted when the process stops or the lease is lost. */
  signal: AbortSignal
  /** What an earlier step left. @throws Error when it has not run. */
  output(step: StepName): StepOutput
  /** Writes a line of the job log, once however often the step runs. No job, no line. */
  logJob(
    event: JobLogEvent,
    message: string,
    detail?: {
      rawError?: string
      targetInstanceId?: MachineId
      /** Tells lines of the same event in one step apart. */
      part?: string
    },
  ): Promise<void>
}

/** What taking back a step is given. */
export type UndoContext = Pick<StepContext, 'bench' | 'task' | 'server'>

/** A step. */
export interface Step {
  name: StepName
  run(context: StepContext): Promise<StepResult>
  /** Takes back what the step did or half did, whatever was saved of it; may run again. Absent where nothing is made. */
  undo?(context: UndoContext): Promise<void>
}

/** Tag of everything a task makes in the cloud, so that all of it is found again whatever was saved. */
export const taskTag = 'rehost:task-id'
