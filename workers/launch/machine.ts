/**
 * Steps: take the previous machine away, launch the new one.
 * @module
 */
import type { CloudMachine } from '../../cloud/provider.ts'
import { sourceServerTag } from '../../cloud/provider.ts'
import type { ImageId, MachineId } from '../../domain/ids.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { PermanentError } from '../../domain/errors.ts'
import { forgetMachine, terminateLaunched } from '../cleanup/machine.ts'
import { taskTag } from '../step.ts'
import { sweep, sweepTask } from '../sweep.ts'
import { rightSize } from './right_size.ts'

async function terminate(context: StepContext): Promise<StepResult> {
  const { bench, server, task } = context
  const launches = ['machine', 'image', 'snapshot']
  const isOfEarlierLaunch = ({ kind, tags }: { kind: string; tags: Record<string, string> }): boolean =>
    launches.includes(kind) && tags[taskTag] !== task.taskId
  const resources = await bench.cloud.listResources(server.sourceServerId)
  if (server.launchedInstance !== undefined || resources.some(isOfEarlierLaunch)) {
    await context.logJob('CLEANUP_START', 'Removing the machine launched before')
    await terminateLaunched(bench, server)
    await sweep(bench.cloud, server.sourceServerId, isOfEarlierLaunch)
    await context.logJob('CLEANUP_END', 'The machine launched before is gone')
  }
  await forgetMachine(bench, server)
  return { done: null }
}

/** `terminate-previous`: as in MGN, a new launch first removes the machine of the one before. */
export const terminatePrevious: Step = { name: 'terminate-previous', run: terminate }

/** The firmware the machine starts with: the operator's choice, else what the conversion found. */
function chooseFirmware(context: StepContext, found: 'BIOS' | 'UEFI'): 'BIOS' | 'UEFI' {
  const { bootMode } = context.server.launchConfiguration
  const wanted = bootMode === 'USE_SOURCE' ? found : bootMode === 'UEFI' ? 'UEFI' : 'BIOS'
  if (bootMode !== 'USE_SOURCE' && wanted !== found) {
    throw new PermanentError(
      `The launch configuration asks for ${wanted}, but this guest boots by ${found}: set its boot mode to USE_SOURCE`,
    )
  }
  const { firmwares } = context.bench.cloud.capabilities.hardware
  if (!firmwares.includes(wanted)) {
    throw new PermanentError(
      `This guest boots by ${wanted}; the ${context.bench.cloud.name} cloud has only ${firmwares.join(' and ')}`,
    )
  }
  return wanted
}

async function launch(context: StepContext): Promise<StepResult> {
  const { bench, server, task } = context
  const { imageId, firmware, takesCommands } = context.output('convert') as {
    imageId: ImageId
    firmware: 'BIOS' | 'UEFI'
    takesCommands: boolean
  }
  const configuration = server.launchConfiguration
  await context.logJob('LAUNCH_START', 'Launching the machine')
  const machine = await bench.cloud.launchMachine({
    clientToken: `${task.taskId}/machine`,
    name: configuration.name,
    imageId,
    ...rightSize(server.sourceProperties, configuration.rightSizing),
    firmware: chooseFirmware(context, firmware),
    reachablePorts: [
      ...new Set([...configuration.reachablePorts, ...configuration.httpChecks.map(({ port }) => port)]),
    ],
    started: configuration.launchDisposition === 'STARTED',
    takesCommands,
    tags: {
      ...(configuration.copyTags === false ? {} : server.tags),
      [sourceServerTag]: server.sourceServerId,
      [taskTag]: task.taskId,
    },
  })
  return {
    done: {
      machineId: machine.machineId,
      endpoints: machine.endpoints.map((endpoint) => ({ ...endpoint })),
      description: machine.description,
    },
  }
}

/** `launch-machine`. */
export const launchMachine: Step = {
  name: 'launch-machine',
  run: launch,
  undo: (context) => sweepTask(context, 'machine'),
}

/** What {@link launchMachine} left. */
export interface LaunchOutput {
  machineId: MachineId
  endpoints: CloudMachine['endpoints']
  description: string
}
