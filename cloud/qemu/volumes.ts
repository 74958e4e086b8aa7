/**
 * Volumes: sparse raw files, attached by a note in their metadata, as the replication server runs on the same host.
 * @module
 */
import { open, rename, rm, stat, truncate } from 'node:fs/promises'
import { ConflictError, NotFoundError, PermanentError } from '../../domain/errors.ts'
import type { ReplicationServerId, VolumeId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import type { CloudVolume, VolumeSpec } from '../provider.ts'
import type { QemuContext } from './context.ts'
import {
  flush,
  makeFolder,
  readJson,
  removeUnfinished,
  unfinishedName,
  unlessMissing,
  writeJson,
} from './files.ts'
import { withLock } from './lock.ts'
import { volumeSchema, type VolumeMetadata } from './metadata.ts'
import { findReplicationServer } from './replication_servers.ts'
import { explainNoSpace, humanBytes, requireSpace } from './space.ts'

/** Largest volume: what ext4 lets a file be, with 4 KiB blocks. */
export const maxVolumeBytes = 16 * 2 ** 40 - 4096

/** Makes a volume. It takes space only as it is written, so only a reserve is asked for. @throws NoSpaceError, PermanentError. */
export async function createVolume(context: QemuContext, spec: VolumeSpec): Promise<VolumeId> {
  const { layout, config } = context
  const id = idFromToken('volume', spec.clientToken)
  const { disk, metadata } = layout.volume(id)
  if (!Number.isSafeInteger(spec.sizeBytes) || spec.sizeBytes <= 0 || spec.sizeBytes > maxVolumeBytes) {
    throw new PermanentError(
      `Cannot create a volume of ${spec.sizeBytes} bytes; possible is 1 byte to ${humanBytes(maxVolumeBytes)}`,
    )
  }
  return await withLock(metadata, async () => {
    if ((await readJson(metadata, volumeSchema))?.progress === 'READY') return id
    await makeFolder(layout.volumes)
    const what = `create volume ${id} of ${humanBytes(spec.sizeBytes)}`
    await requireSpace(layout.volumes, Math.min(spec.sizeBytes, config.minFreeBytes), what)
    await explainNoSpace(layout.volumes, what, makeVolume(disk, metadata, spec))
    return id
  })
}

async function makeVolume(disk: string, metadata: string, spec: VolumeSpec): Promise<void> {
  const { sizeBytes, tags } = spec
  await writeJson(metadata, { progress: 'CREATING', sizeBytes, tags } satisfies VolumeMetadata)
  await removeUnfinished(disk)
  const unfinished = unfinishedName(disk)
  const handle = await open(unfinished, 'wx', 0o600)
  try {
    await handle.truncate(sizeBytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(unfinished, disk)
  await writeJson(metadata, { progress: 'READY', sizeBytes, tags } satisfies VolumeMetadata)
}

/** What is to be seen of a volume without reading it: whether its file is there and as long as it was made. */
export async function describeVolume(context: QemuContext, id: VolumeId): Promise<CloudVolume | undefined> {
  const { disk, metadata } = context.layout.volume(id)
  const volume = await readJson(metadata, volumeSchema)
  if (volume?.progress !== 'READY') return undefined
  const damaged = (stateReason: string): CloudVolume => ({ volumeId: id, state: 'DAMAGED', stateReason })
  const file = await unlessMissing(stat(disk))
  if (file === undefined) return damaged(`its file ${disk} is missing`)
  // A longer one was being grown when a crash came.
  if (volume.sizeBytes !== undefined && file.size < volume.sizeBytes)
    return damaged(`its file ${disk} has ${file.size} bytes instead of ${volume.sizeBytes}`)
  return { volumeId: id, state: 'READY' }
}

/** @throws NotFoundError when there is no such volume, PermanentError when it is damaged; `what` says what was to be done with it. */
export async function requireHealthyVolume(context: QemuContext, id: VolumeId, what: string): Promise<void> {
  const volume = await describeVolume(context, id)
  if (volume === undefined) throw new NotFoundError('volume', id)
  if (volume.state === 'READY') return
  throw new PermanentError(
    `Cannot ${what}: volume ${id} is damaged, ${volume.stateReason}; something other than Rehost changed it`,
  )
}

/** Makes a volume larger; the new part reads as zeros. @throws NotFoundError, PermanentError when it would shrink. */
export async function growVolume(context: QemuContext, id: VolumeId, sizeBytes: number): Promise<void> {
  const { disk, metadata } = context.layout.volume(id)
  await withLock(metadata, async () => {
    const volume = await findVolume(context, id)
    await requireHealthyVolume(context, id, `grow volume ${id}`)
    const { size } = await stat(disk)
    const before = volume.sizeBytes ?? size
    if (sizeBytes < before) {
      throw new PermanentError(`Cannot shrink volume ${id} from ${before} to ${sizeBytes} bytes`)
    }
    if (sizeBytes > maxVolumeBytes) {
      throw new PermanentError(
        `Cannot grow volume ${id} to ${sizeBytes} bytes; the most is ${maxVolumeBytes}`,
      )
    }
    await truncate(disk, Math.max(size, sizeBytes))
    await flush(disk)
    await writeJson(metadata, { ...volume, sizeBytes } satisfies VolumeMetadata)
  })
}

/** Notes who writes the volume and returns its path. @throws NotFoundError, ConflictError when another one has it. */
export async function attachVolume(
  context: QemuContext,
  id: VolumeId,
  replicationServerId: ReplicationServerId,
): Promise<string> {
  const { disk, metadata } = context.layout.volume(id)
  return await withLock(metadata, async () => {
    const volume = await findVolume(context, id)
    if ((await findReplicationServer(context, replicationServerId)) === undefined) {
      throw new NotFoundError('replication server', replicationServerId)
    }
    const { attachedTo } = volume
    if (attachedTo === replicationServerId) return disk
    if (attachedTo !== undefined && (await findReplicationServer(context, attachedTo)) !== undefined) {
      throw new ConflictError(
        `Cannot attach volume ${id} to ${replicationServerId}: it is attached to ${attachedTo}; detach it first`,
      )
    }
    await writeJson(metadata, { ...volume, attachedTo: replicationServerId } satisfies VolumeMetadata)
    return disk
  })
}

/** Forgets who writes the volume. A no-op when it is gone or not attached. */
export async function detachVolume(context: QemuContext, id: VolumeId): Promise<void> {
  const { metadata } = context.layout.volume(id)
  await withLock(metadata, async () => {
    const volume = await readJson(metadata, volumeSchema)
    if (volume?.attachedTo === undefined) return
    const { attachedTo: _, ...detached } = volume
    await writeJson(metadata, detached satisfies VolumeMetadata)
  })
}

/** Deletes a volume, attached or not. Snapshots of it are copies and stay. */
export async function deleteVolume(context: QemuContext, id: VolumeId): Promise<void> {
  const { disk, metadata } = context.layout.volume(id)
  await withLock(metadata, async () => {
    await removeUnfinished(disk)
    await rm(disk, { force: true })
    await removeUnfinished(metadata)
    await rm(metadata, { force: true })
    await unlessMissing(flush(context.layout.volumes))
  })
}

/** The metadata of a finished volume. @throws NotFoundError. */
export async function findVolume(context: QemuContext, id: VolumeId): Promise<VolumeMetadata> {
  const volume = await readJson(context.layout.volume(id).metadata, volumeSchema)
  if (volume?.progress !== 'READY') throw new NotFoundError('volume', id)
  return volume
}
