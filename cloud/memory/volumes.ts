/**
 * Volumes of the memory cloud: sparse files.
 * @module
 */
import { open, rm, stat, truncate } from 'node:fs/promises'
import { ConflictError, NotFoundError, PermanentError } from '../../domain/errors.ts'
import type { ReplicationServerId, VolumeId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import type { CloudVolume, VolumeSpec } from '../provider.ts'
import type { MemoryVolume } from './cloud.ts'
import { fileFor, type MemoryContext } from './context.ts'
import { findReplicationServer } from './replication_servers.ts'

/** Makes a volume of zeros. */
export async function createVolume(context: MemoryContext, spec: VolumeSpec): Promise<VolumeId> {
  const id = idFromToken('volume', spec.clientToken)
  if (context.cloud.volumes.has(id)) return id
  const file = await fileFor(context, `${id}.raw`)
  const handle = await open(file, 'w')
  await handle.truncate(spec.sizeBytes)
  await handle.close()
  context.cloud.volumes.set(id, { path: file, sizeBytes: spec.sizeBytes, tags: spec.tags })
  return id
}

/** What is to be seen of a volume without reading it; undefined when there is none. */
export async function describeVolume(
  { cloud }: MemoryContext,
  volumeId: VolumeId,
): Promise<CloudVolume | undefined> {
  const volume = cloud.volumes.get(volumeId)
  if (volume === undefined) return undefined
  const bytes = await sizeOf(volume.path)
  if (bytes !== undefined && bytes >= volume.sizeBytes) return { volumeId, state: 'READY' }
  const found = bytes === undefined ? 'is missing' : `has ${bytes} bytes instead of ${volume.sizeBytes}`
  return { volumeId, state: 'DAMAGED', stateReason: `its file ${volume.path} ${found}` }
}

/** Makes a volume larger. @throws NotFoundError, PermanentError when it would shrink. */
export async function growVolume(context: MemoryContext, id: VolumeId, sizeBytes: number): Promise<void> {
  const volume = findVolume(context, id)
  if (sizeBytes < volume.sizeBytes) {
    throw new PermanentError(`Cannot shrink volume ${id} from ${volume.sizeBytes} to ${sizeBytes} bytes`)
  }
  await truncate(volume.path, sizeBytes)
  volume.sizeBytes = sizeBytes
}

/** Notes who writes the volume and returns its path. @throws NotFoundError, ConflictError when another one has it. */
export function attachVolume(
  context: MemoryContext,
  id: VolumeId,
  replicationServerId: ReplicationServerId,
): string {
  const volume = findVolume(context, id)
  findReplicationServer(context, replicationServerId)
  const { attachedTo } = volume
  const isFree = attachedTo === undefined || !context.cloud.replicationServers.has(attachedTo)
  if (!isFree && attachedTo !== replicationServerId) {
    throw new ConflictError(
      `Cannot attach volume ${id} to ${replicationServerId}: it is attached to ${attachedTo}; detach it first`,
    )
  }
  volume.attachedTo = replicationServerId
  return volume.path
}

/** Forgets who writes the volume. */
export function detachVolume({ cloud }: MemoryContext, id: VolumeId): void {
  const volume = cloud.volumes.get(id)
  if (volume !== undefined) delete volume.attachedTo
}

/** Deletes a volume, attached or not. */
export async function deleteVolume({ cloud }: MemoryContext, id: VolumeId): Promise<void> {
  const volume = cloud.volumes.get(id)
  if (volume === undefined) return
  await rm(volume.path, { force: true })
  cloud.volumes.delete(id)
}

/** The record of a volume. @throws NotFoundError. */
export function findVolume({ cloud }: MemoryContext, id: VolumeId): MemoryVolume {
  const volume = cloud.volumes.get(id)
  if (volume === undefined) throw new NotFoundError('volume', id)
  return volume
}

/** Length of a file; undefined when it is missing. */
async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
