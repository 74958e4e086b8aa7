/**
 * Tasks: a saved list of steps for one server, run by the workers. The finished step is saved before the next begins.
 * @module
 */
import type { JobId, SourceServerId, TaskId } from './ids.ts'
import type { JobInitiator } from './job.ts'

/** What a task does. STAGING raises the staging area; EXTEND gives new and grown disks their volumes; LAUNCH makes a test or cutover machine; the others take things away. */
export const taskKinds = [
  'STAGING',
  'EXTEND',
  'LAUNCH',
  'TERMINATE',
  'FINALIZE',
  'DISCONNECT',
  'DELETE',
] as const
export type TaskKind = (typeof taskKinds)[number]

export type TaskStatus = 'PENDING' | 'RUNNING' | 'UNDOING' | 'SUCCEEDED' | 'FAILED'

/** A value a step leaves for later steps, saved with it. */
export type StepOutput =
  { readonly [key: string]: StepOutput } | readonly StepOutput[] | string | number | boolean | null

/** How far one step is. */
export interface TaskStep {
  name: string
  status: 'PENDING' | 'RUNNING' | 'DONE' | 'FAILED' | 'UNDONE' | 'SKIPPED'
  startedAt?: string
  endedAt?: string
  attempts: number
  /** Workers that died in the middle of it. */
  abandonments?: number
  output?: StepOutput
  error?: string
}

/** The saved state of one piece of work. */
export interface Task {
  taskId: TaskId
  kind: TaskKind
  sourceServerId: SourceServerId
  jobId?: JobId
  initiatedBy?: JobInitiator
  createdAt: string
  endedAt?: string
  status: TaskStatus
  steps: TaskStep[]
  /** Why it failed, for the operator. */
  failure?: string
  /** Who is running it, until when, and how often it has been taken: an older epoch's writes are refused. */
  lease?: { owner: string; epoch: number; expiresAt: string }
  leaseEpoch: number
}

/** The step to run now; undefined when all are done. */
export function currentStep(task: Task): TaskStep | undefined {
  return task.steps.find(({ status }) => status !== 'DONE' && status !== 'SKIPPED')
}
