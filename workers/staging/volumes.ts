/**
 * Steps that give every disk its staging volume and hand them to the replication server.
 * @module
 */
import { sourceServerTag } from '../../cloud/provider.ts'
import type { VolumeId } from '../../domain/ids.ts'
import type { Step, StepContext, StepResult, UndoContext } from '../step.ts'
import { PermanentError } from '../../domain/errors.ts'
import { withInitiationStep } from '../../domain/initiation_step.ts'
import { advanceDataReplication } from '../../domain/replication.ts'
import { withoutReplicationError } from '../../domain/replication_error.ts'
import { withReplication } from '../../domain/source_server.ts'
import { dropLostVolumes } from '../../domain/staging.ts'
import { changeServer, now } from '../bench.ts'
import { taskTag } from '../step.ts'
import { sweep, sweepTask } from '../sweep.ts'
import { findLostVolumes } from '../volume_watch.ts'
import { chosenReplicationServer } from './replication_server.ts'

interface VolumeOfDisk {
  diskIndex: number
  volumeId: VolumeId
}

/** Volumes that no disk names any more, as they were lost, go before new ones are made: they may take the room that those need. */
async function removeForgotten({ bench, server, task }: StepContext): Promise<void> {
  const named = new Set<string | undefined>(server.disks.map(({ volumeId }) => volumeId))
  await sweep(
    bench.cloud,
    server.sourceServerId,
    ({ kind, id, tags }) => kind === 'volume' && !named.has(id) && tags[taskTag] !== task.taskId,
  )
}

async function create(context: StepContext): Promise<StepResult> {
  const { bench, task } = context
  const lost = await findLostVolumes(bench, context.server)
  const server = await changeServer(bench, context.server.sourceServerId, (current) =>
    withInitiationStep(
      dropLostVolumes(current, lost, now(bench)),
      'CREATE_STAGING_DISKS',
      'BEGIN',
      now(bench),
    ),
  )
  await removeForgotten({ ...context, server })
  const volumes: VolumeOfDisk[] = []
  for (const disk of server.disks) {
    const { maxVolumeBytes } = bench.cloud.capabilities
    if (disk.sizeBytes > maxVolumeBytes) {
      throw new PermanentError(
        `Disk ${disk.deviceName} has ${disk.sizeBytes} bytes; a volume of the ${bench.cloud.name} cloud has at most ${maxVolumeBytes}`,
      )
    }
    const volumeId =
      disk.volumeId ??
      (await bench.cloud.createVolume({
        clientToken: `${task.taskId}/volume/${disk.diskIndex}`,
        sizeBytes: disk.sizeBytes,
        tags: {
          ...server.replicationConfiguration.stagingAreaTags,
          [sourceServerTag]: server.sourceServerId,
          [taskTag]: task.taskId,
        },
      }))
    volumes.push({ diskIndex: disk.diskIndex, volumeId })
  }
  return { done: volumes.map((volume) => ({ ...volume })) }
}

/** `create-volumes`. */
export const createVolumes: Step = {
  name: 'create-volumes',
  run: create,
  // A volume that was there before holds a copy that a later attempt goes on with.
  undo: (context) => sweepTask(context, 'volume'),
}

async function attach(context: StepContext): Promise<StepResult> {
  const { bench, server } = context
  const replicationServerId = chosenReplicationServer(context)
  const volumes = context.output('create-volumes') as unknown as VolumeOfDisk[]
  await changeServer(bench, server.sourceServerId, (current) =>
    withInitiationStep(current, 'ATTACH_STAGING_DISKS', 'BEGIN', now(bench)),
  )
  const paths = new Map<number, { volumeId: VolumeId; devicePath: string }>()
  for (const { diskIndex, volumeId } of volumes) {
    paths.set(diskIndex, {
      volumeId,
      devicePath: await bench.cloud.attachVolume(volumeId, replicationServerId),
    })
  }
  await changeServer(bench, server.sourceServerId, (current) => ({
    ...withInitiationStep(current, 'ATTACH_STAGING_DISKS', 'SUCCEED', now(bench)),
    // One that was just joining the others is like them now.
    disks: current.disks.map(({ isJoining: _joined, ...disk }) => ({
      ...disk,
      ...paths.get(disk.diskIndex),
    })),
  }))
  return { done: null }
}

/** Takes the volumes that this task made off the record before they are deleted; the others stay named. */
async function undoAttach({ bench, server, task }: UndoContext): Promise<void> {
  const resources = await bench.cloud.listResources(server.sourceServerId)
  const own = new Set<string | undefined>(
    resources.filter(({ tags }) => tags[taskTag] === task.taskId).map(({ id }) => id),
  )
  await changeServer(bench, server.sourceServerId, (current) => ({
    ...current,
    disks: current.disks.map(({ volumeId, ...disk }) =>
      volumeId === undefined || own.has(volumeId) ? disk : { ...disk, volumeId },
    ),
  }))
}

/** `attach-volumes`. */
export const attachVolumes: Step = { name: 'attach-volumes', run: attach, undo: undoAttach }

async function pair(context: StepContext): Promise<StepResult> {
  const { bench, server } = context
  const replicationServerId = chosenReplicationServer(context)
  await changeServer(bench, server.sourceServerId, (current) => {
    const at = now(bench)
    const isDue = advanceDataReplication(current.replication.state, 'INITIATE').ok
    const initiated = isDue ? withReplication(current, 'INITIATE', at) : current
    const solved = withoutReplicationError(initiated, 'The staging area stands', at)
    const paired = withInitiationStep(solved, 'PAIR_REPLICATION_SERVER_WITH_AGENT', 'SUCCEED', at)
    const { nextAttemptAt: _due, ...initiation } = paired.replication.initiation
    // A pause asked for meanwhile is kept.
    const desired = paired.agent.desired === 'PAUSE' ? 'PAUSE' : 'REPLICATE'
    return {
      ...paired,
      agent: { ...paired.agent, desired },
      replication: { ...paired.replication, initiation, replicationServerId },
    }
  })
  return { done: null }
}

/** `pair-with-agent`: from here on the gateway tells both ends about each other. */
export const pairWithAgent: Step = { name: 'pair-with-agent', run: pair }
