/**
 * The step lists: which steps each kind of task has and which queue runs each. Gateways create tasks from it, workers run them.
 * @module
 */
import type { ActiveTask, SourceServer } from '../domain/source_server.ts'
import type { Task, TaskKind } from '../domain/task.ts'
import type { QueueName } from './names.ts'
import { currentStep } from '../domain/task.ts'

/** A step, and the queue whose worker runs it. */
interface StepPlan {
  name: string
  queue: QueueName
  /** All that it starts dies with its worker, so that another one may repeat it at once. */
  endsWithWorker?: true
}

/** Steps in order. */
export const taskSteps = {
  STAGING: [
    { name: 'launch-replication-server', queue: 'staging' },
    { name: 'wait-for-replication-server', queue: 'staging' },
    { name: 'create-volumes', queue: 'staging' },
    { name: 'attach-volumes', queue: 'staging' },
    { name: 'pair-with-agent', queue: 'staging' },
  ],
  EXTEND: [{ name: 'extend-staging', queue: 'staging' }],
  LAUNCH: [
    { name: 'terminate-previous', queue: 'launch' },
    { name: 'request-consistency-point', queue: 'snapshot', endsWithWorker: true },
    { name: 'create-snapshots', queue: 'snapshot', endsWithWorker: true },
    { name: 'create-image', queue: 'conversion', endsWithWorker: true },
    { name: 'convert', queue: 'conversion', endsWithWorker: true },
    { name: 'launch-machine', queue: 'launch' },
    { name: 'check-boot', queue: 'launch' },
    { name: 'run-actions', queue: 'launch' },
  ],
  TERMINATE: [{ name: 'terminate-machine', queue: 'cleanup' }],
  FINALIZE: [
    { name: 'detach-machine', queue: 'cleanup' },
    { name: 'complete-cutover', queue: 'cleanup' },
    { name: 'uninstall-agent', queue: 'cleanup' },
    { name: 'release-staging', queue: 'cleanup' },
    { name: 'remove-staging', queue: 'cleanup' },
  ],
  // A launched machine stays, as in MGN: it may be the server that people work on by now.
  DISCONNECT: [
    { name: 'detach-machine', queue: 'cleanup' },
    { name: 'uninstall-agent', queue: 'cleanup' },
    { name: 'release-staging', queue: 'cleanup' },
    { name: 'remove-staging', queue: 'cleanup' },
  ],
  DELETE: [
    { name: 'release-staging', queue: 'cleanup' },
    { name: 'remove-staging', queue: 'cleanup' },
    { name: 'delete-records', queue: 'cleanup' },
  ],
} as const satisfies Record<TaskKind, readonly StepPlan[]>

/** The name of a step of a kind of task. */
export type StepName<K extends TaskKind = TaskKind> = (typeof taskSteps)[K][number]['name']

/** The task that `active` of `server` stands for, none of its steps begun. Pure, so that gateway and reconciler make the same one. */
export function newTask(server: SourceServer, active: ActiveTask): Task {
  return {
    taskId: active.taskId,
    kind: active.kind,
    sourceServerId: server.sourceServerId,
    ...(active.jobId === undefined ? {} : { jobId: active.jobId }),
    ...(active.initiatedBy === undefined ? {} : { initiatedBy: active.initiatedBy }),
    createdAt: active.startedAt,
    status: 'PENDING',
    steps: taskSteps[active.kind].map(({ name }) => ({ name, status: 'PENDING', attempts: 0 })),
    leaseEpoch: 0,
  }
}

/** The queue of the next step to run or undo; undefined when nothing is left. */
export function nextQueue(task: Task): QueueName | undefined {
  if (task.status === 'SUCCEEDED' || task.status === 'FAILED') return undefined
  if (task.status === 'UNDOING') return 'cleanup'
  return nextPlan(task)?.queue ?? 'cleanup'
}

/**
 * Whether another worker may go on with the task the moment that its worker has died. Elsewhere a machine may be just about to start; and a
 * step whose workers die again and again must leave time to the work of other servers in between.
 */
export function isTakenAtOnce(task: Task): boolean {
  return (
    task.status === 'RUNNING' &&
    nextPlan(task)?.endsWithWorker === true &&
    currentStep(task)?.abandonments === undefined
  )
}

function nextPlan(task: Task): StepPlan | undefined {
  const plans: readonly StepPlan[] = taskSteps[task.kind]
  const step = currentStep(task)
  return plans.find(({ name }) => name === step?.name)
}
