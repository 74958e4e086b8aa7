/**
 * Steps about a launched machine at the end of its part: terminated, or made to stand alone.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Bench } from '../bench.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { NotFoundError, PermanentError } from '../../domain/errors.ts'
import { withLaunchStatus } from '../../domain/job.ts'
import { withEvent } from '../../domain/source_server.ts'
import { mutate } from '../../store/mutate.ts'
import { changeServer, now } from '../bench.ts'
import { sweep } from '../sweep.ts'

/**
 * Forgets the machine and says so in the job that launched it, as MGN does. Nothing to do when none is launched. A crash between the two
 * writes has the job told again, which the table of launch statuses allows.
 */
export async function forgetMachine(bench: Bench, server: SourceServer): Promise<void> {
  const machine = server.launchedInstance
  if (machine === undefined) return
  try {
    await mutate(bench.store, 'job', { id: machine.jobId }, (job) => ({
      ...job,
      participatingServers: job.participatingServers.map((own) =>
        own.sourceServerId === server.sourceServerId ? withLaunchStatus(job, own, 'TERMINATE') : own,
      ),
    }))
    await bench.changes.publish({ kind: 'job', id: machine.jobId })
  } catch (error) {
    // The job may have been deleted since.
    if (!(error instanceof NotFoundError)) throw error
  }
  await changeServer(bench, server.sourceServerId, (current) => {
    const { launchedInstance: gone, ...rest } = current
    if (gone?.machineId !== machine.machineId) return undefined
    const { machineId, jobId } = machine
    return withEvent(rest, now(bench), {
      type: 'LAUNCH',
      message: `The ${machine.purpose.toLowerCase()} machine ${machineId} is gone`,
      detail: { state: 'TERMINATED', 'job-id': jobId, machineId },
    })
  })
}

/** Terminates the machine, if one is launched: one that stands alone is found by its id only. */
export async function terminateLaunched({ cloud }: Bench, server: SourceServer): Promise<void> {
  if (server.launchedInstance !== undefined) await cloud.terminateMachine(server.launchedInstance.machineId)
}

async function terminate(context: StepContext): Promise<StepResult> {
  const { bench, server } = context
  await context.logJob('CLEANUP_START', 'Terminating the launched machine')
  await terminateLaunched(bench, server)
  await sweep(bench.cloud, server.sourceServerId, ({ kind }) => kind !== 'volume')
  await forgetMachine(bench, server)
  await context.logJob('CLEANUP_END', 'The launched machine is gone')
  return { done: null }
}

/** `terminate-machine`: with the image and snapshots it was launched from. */
export const terminateMachine: Step = { name: 'terminate-machine', run: terminate }

async function detach({ bench, server, task }: StepContext): Promise<StepResult> {
  const machine = server.launchedInstance
  if (machine === undefined) return { done: null }
  try {
    await bench.cloud.detachMachineFromImage(machine.machineId)
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
    if (task.kind === 'FINALIZE') {
      throw new PermanentError(
        `Machine ${machine.machineId} has vanished from the ${bench.cloud.name} cloud, with everything written on it. ` +
          'Bring it back and finalize again, or launch the cutover machine again: the replica is still there',
        { cause: error },
      )
    }
    // Somebody took it away. Waiting for it would keep the staging area of a server that is to be left alone for ever.
    await changeServer(bench, server.sourceServerId, (current) =>
      withEvent(current, now(bench), {
        type: 'LAUNCH',
        level: 'ERROR',
        message: `Machine ${machine.machineId} has vanished from the ${bench.cloud.name} cloud, with everything written on it; the source server still has its own disks`,
      }),
    )
    await forgetMachine(bench, server)
  }
  return { done: null }
}

/** `detach-machine`: the launched machine goes on without image, snapshots and volumes. */
export const detachMachine: Step = { name: 'detach-machine', run: detach }
