/**
 * What a launch runs on its machine, decided before the disks are converted: they must be made ready for it.
 * @module
 */
import type { LaunchPurpose, LaunchRuns } from '../../domain/post_launch_action.ts'
import { planOfLaunch } from '../../domain/action_gate.ts'
import type { Task } from '../../domain/task.ts'
import { mutate } from '../../store/mutate.ts'
import type { StepContext } from '../step.ts'

/** Why the task launches a machine. */
export function purposeOf(task: Pick<Task, 'initiatedBy'>): LaunchPurpose {
  return task.initiatedBy === 'START_CUTOVER' ? 'CUTOVER' : 'TEST'
}

/**
 * Writes down what is to be run, once; answers whether that is anything. What is put later belongs to the next launch. The job is told
 * first: whoever reads it then looks for what is written here.
 */
export async function planActions({ bench, server, task }: StepContext): Promise<boolean> {
  const { jobId } = task
  if (jobId === undefined) return false
  const { sourceServerId } = server
  const key = { parent: jobId, id: sourceServerId }
  const known = await bench.store.get('launchRuns', key)
  if (known !== undefined) return true
  const runs = planOfLaunch(server, purposeOf(task))
  if (runs.length === 0) return false
  await mutate(bench.store, 'job', { id: jobId }, (job) => ({
    ...job,
    participatingServers: job.participatingServers.map((own) =>
      own.sourceServerId === sourceServerId ? { ...own, hasActions: true } : own,
    ),
  }))
  const launch: LaunchRuns = { jobId, sourceServerId, runs }
  await bench.store.create('launchRuns', key, launch)
  return true
}
