/**
 * Steps: a throw-away view of the snapshots, and the conversion that makes it boot on the target.
 * @module
 */
import { sourceServerTag } from '../../cloud/provider.ts'
import type { ImageId } from '../../domain/ids.ts'
import type { GuestHardware } from '../../cloud/provider.ts'
import type { SnapshotOfDisk } from '../../domain/source_server.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { planActions } from '../launch/action_plan.ts'
import { keepReport } from '../evidence.ts'
import { taskTag } from '../step.ts'
import { sweepTask } from '../sweep.ts'

/** The order in which images have the disks: the boot disk first. */
function bootFirst(context: StepContext): SnapshotOfDisk[] {
  const snapshots = context.output('create-snapshots') as unknown as SnapshotOfDisk[]
  return snapshots.toSorted((left, right) => Number(right.isBootDisk) - Number(left.isBootDisk))
}

function makeImage(context: StepContext): Promise<ImageId> {
  const { bench, server, task } = context
  return bench.cloud.createImage({
    clientToken: `${task.taskId}/image`,
    disks: bootFirst(context).map(({ snapshotId, isBootDisk }) => ({ snapshotId, isBootDisk })),
    tags: { [sourceServerTag]: server.sourceServerId, [taskTag]: task.taskId },
  })
}

/** `create-image`. */
export const createImage: Step = {
  name: 'create-image',
  run: async (context) => ({ done: { imageId: await makeImage(context) } }),
  undo: (context) => sweepTask(context, 'image'),
}

async function runConversion(context: StepContext): Promise<StepResult> {
  const { bench, task, server, signal, isRerun, step } = context
  let { imageId } = context.output('create-image') as { imageId: ImageId }
  if (isRerun || step.attempts > 0) {
    // A conversion that died half way left half its changes: it begins on an untouched view.
    await bench.cloud.deleteImage(imageId)
    imageId = await makeImage(context)
  }
  const takesCommands = await planActions(context)
  await context.logJob('CONVERSION_START', 'Converting the disks for the target')
  const opened = await bench.cloud.openImage(imageId)
  // The guest's own files name its disks as the source does.
  const names = bootFirst(context).map(
    (snapshot) => server.disks.find(({ diskIndex }) => diskIndex === snapshot.diskIndex)?.deviceName,
  )
  const result = await bench.convert({
    disks: opened.map((disk, index) => ({ ...disk, sourceDeviceName: names[index] })),
    target: hardwareFor(bench.cloud.capabilities.hardware, takesCommands),
    signal,
    log: (line) => bench.log.info({ taskId: task.taskId, sourceServerId: server.sourceServerId }, line),
  })
  await keepReport(context, result.report)
  await context.logJob('CONVERSION_END', 'The disks are ready for the target')
  return { done: { imageId, firmware: result.firmware, takesCommands } }
}

/** What conversion prepares the guest for: only a launch that has something to run needs a way for it. */
function hardwareFor(hardware: GuestHardware, takesCommands: boolean): GuestHardware {
  if (takesCommands) return hardware
  const { commandPort: _unused, ...rest } = hardware
  return rest
}

/** `convert`. */
export const convertImage: Step = { name: 'convert', run: runConversion }
