/**
 * The step lists: which steps each kind of task has and which queue runs each. Gateways create tasks from it, workers run them.
 * @module
 */
import type { ActiveTask, SourceServer } from '../domain/source_server.ts'
import type { Task, TaskKind } from '../domain/task.ts'
import type { QueueName } from './names.ts'

/** Steps in order, each with the queue whose worker runs it. */
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
    { name: 'request-consistency-point', queue: 'snapshot' },
    { name: 'create-snapshots', queue: 'snapshot' },
    { name: 'create-image', queue: 'conversion' },
    { name: 'convert', queue: 'conversion' },
    { name: 'launch-machine', queue: 'launch' },
    { name: 'check-boot', queue: 'launch' },
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
} as const satisfies Record<TaskKind, readonly { name: string; queue: QueueName }[]>

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
  const steps: readonly { name: string; queue: QueueName }[] = taskSteps[task.kind]
  if (task.status === 'SUCCEEDED' || task.status === 'FAILED') return undefined
  if (task.status === 'UNDOING') return 'cleanup'
  const position = task.steps.findIndex((step) => step.status !== 'DONE' && step.status !== 'SKIPPED')
  return steps[position]?.queue ?? 'cleanup'
}
