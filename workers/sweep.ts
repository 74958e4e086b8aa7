/**
 * Taking cloud resources away: by what they are tagged with, in the order in which they depend on each other. A step that died between
 * making a thing and saving its name leaves nothing behind, because nothing here needs a saved name.
 * @module
 */
import type { CloudProvider, CloudResource } from '../cloud/provider.ts'
import type { ImageId, MachineId, SnapshotId, SourceServerId, VolumeId } from '../domain/ids.ts'
import type { UndoContext } from './step.ts'
import { unreachable } from '../domain/errors.ts'
import { taskTag } from './step.ts'

/** Machines hold images, images hold snapshots; replication servers are shared and not swept by server. */
const order: readonly CloudResource['kind'][] = ['machine', 'image', 'snapshot', 'volume']

/** Removes every resource of `sourceServerId` that `isUnwanted` picks. Removing what is gone already is no error. */
export async function sweep(
  cloud: CloudProvider,
  sourceServerId: SourceServerId,
  isUnwanted: (resource: CloudResource) => boolean,
): Promise<CloudResource[]> {
  const resources = await cloud.listResources(sourceServerId)
  const unwanted = resources.filter(
    (resource) => resource.kind !== 'replicationServer' && isUnwanted(resource),
  )
  for (const kind of order) {
    for (const resource of unwanted) if (resource.kind === kind) await remove(cloud, resource)
  }
  return unwanted
}

/** Takes back what a task made of one kind of resource: what an undo does. */
export async function sweepTask(
  { bench, task }: Pick<UndoContext, 'bench' | 'task'>,
  kind: CloudResource['kind'],
): Promise<void> {
  await sweep(
    bench.cloud,
    task.sourceServerId,
    (resource) => resource.kind === kind && resource.tags[taskTag] === task.taskId,
  )
}

async function remove(cloud: CloudProvider, resource: CloudResource): Promise<void> {
  // The provider's own listing names the id, so it is one of the kind it says.
  switch (resource.kind) {
    case 'machine':
      return cloud.terminateMachine(resource.id as MachineId)
    case 'image':
      return cloud.deleteImage(resource.id as ImageId)
    case 'snapshot':
      return cloud.deleteSnapshot(resource.id as SnapshotId)
    case 'volume':
      await cloud.detachVolume(resource.id as VolumeId)
      return cloud.deleteVolume(resource.id as VolumeId)
    case 'replicationServer':
      return
    default:
      return unreachable(resource.kind)
  }
}
