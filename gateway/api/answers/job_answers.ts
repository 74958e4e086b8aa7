/**
 * Jobs as they are answered.
 * @module
 */
import type { MachineId, SourceServerId, TaskId } from '../../../domain/ids.ts'
import type { Job, JobLogItem } from '../../../domain/job.ts'
import type { StepOutput, Task } from '../../../domain/task.ts'
import { z } from 'zod'
import { jobLogEvents, jobStatuses } from '../../../domain/job.ts'
import { launchStatuses } from '../../../domain/launch_status.ts'
import { taskKinds } from '../../../domain/task.ts'
import { answerOf, anyJson, count, idOf, listOf, moment } from './answer_schema.ts'
import { jobId, jobInitiator } from './server_parts.ts'

const sourceServerId = idOf<SourceServerId>('a source server')
const machineId = idOf<MachineId>('a machine')

/** A job. */
export const job = answerOf<Job>()(
  z
    .object({
      jobId,
      type: z.enum(['LAUNCH', 'TERMINATE']),
      initiatedBy: jobInitiator,
      actor: z.string(),
      status: z.enum(jobStatuses),
      createdAt: moment,
      endedAt: moment.exactOptional(),
      participatingServers: z.array(
        z.object({
          sourceServerId,
          launchStatus: z.enum(launchStatuses),
          machineId: machineId.exactOptional(),
          hasActions: z.literal(true).exactOptional(),
          failure: z.string().exactOptional(),
        }),
      ),
      tags: z.record(z.string(), z.string()).exactOptional(),
    })
    .meta({ id: 'Job', description: 'What an operator started' }),
)

/** Jobs. */
export const jobs = listOf(job).extend({ nextToken: z.string().exactOptional() })
export type Jobs = z.infer<typeof jobs>

/** The log of a job. */
export const jobLog = listOf(
  answerOf<JobLogItem>()(
    z
      .object({
        jobId,
        logId: z.string(),
        at: moment,
        event: z.enum(jobLogEvents),
        sourceServerId: sourceServerId.exactOptional(),
        targetInstanceId: machineId.exactOptional(),
        message: z.string(),
        rawError: z.string().exactOptional(),
        attemptCount: count.exactOptional(),
        maxAttemptsCount: count.exactOptional(),
      })
      .meta({ id: 'JobLogItem', description: 'A line of the log of a job' }),
  ),
)
export type JobLog = z.infer<typeof jobLog>

/** What the conversion of a guest wrote down. It is the workers' own, and sent as they left it. */
export const conversionReport = z
  .looseObject({})
  .meta({ description: 'conversion.json: what was found in the guest, and what was changed' })

/** Steps leave what they like, for later steps of the same version. */
const stepOutput: z.ZodType<StepOutput> = anyJson as never

/** The tasks of a job. */
export const jobTasks = listOf(
  answerOf<Task>()(
    z
      .object({
        taskId: idOf<TaskId>('a task'),
        kind: z.enum(taskKinds),
        sourceServerId,
        jobId: jobId.exactOptional(),
        initiatedBy: jobInitiator.exactOptional(),
        createdAt: moment,
        endedAt: moment.exactOptional(),
        status: z.enum(['PENDING', 'RUNNING', 'UNDOING', 'SUCCEEDED', 'FAILED']),
        steps: z.array(
          z.object({
            name: z.string(),
            status: z.enum(['PENDING', 'RUNNING', 'DONE', 'FAILED', 'UNDONE', 'SKIPPED']),
            startedAt: moment.exactOptional(),
            endedAt: moment.exactOptional(),
            attempts: count,
            abandonments: count.exactOptional(),
            output: stepOutput.exactOptional(),
            error: z.string().exactOptional(),
          }),
        ),
        failure: z.string().exactOptional(),
        lease: z.object({ owner: z.string(), epoch: count, expiresAt: moment }).exactOptional(),
        leaseEpoch: count,
      })
      .meta({ id: 'Task', description: 'The steps of a job for one of its servers' }),
  ),
)
export type JobTasks = z.infer<typeof jobTasks>
