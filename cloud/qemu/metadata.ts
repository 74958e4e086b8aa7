/**
 * The metadata of each kind of thing, as it stands in JSON beside the thing.
 * @module
 */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { isId, type IdKind } from '../../domain/ids.ts'
import type { ImageId, ReplicationServerId, SnapshotId, VolumeId } from '../../domain/ids.ts'
import type { CloudResource } from '../provider.ts'
import { readJson, unlessMissing } from './files.ts'
import { metadataNames, type Layout } from './layout.ts'

const tags = z.record(z.string(), z.string())
/** CREATING: begun, to be finished by the next call with its token. */
const progress = z.enum(['CREATING', 'READY'])
const branded = <Id extends string>() => z.custom<Id>((value) => typeof value === 'string')

/** A replication server's `spec.json`. */
export const replicationServerSchema = z.object({
  replicationServerId: branded<ReplicationServerId>(),
  gatewayUrl: z.string(),
  port: z.number(),
  tags,
})
export type ReplicationServerMetadata = z.infer<typeof replicationServerSchema>

/** A volume's metadata. */
export const volumeSchema = z.object({
  progress,
  /** How long its file must be; missing in what older versions wrote. */
  sizeBytes: z.number().optional(),
  attachedTo: branded<ReplicationServerId>().optional(),
  tags,
})
export type VolumeMetadata = z.infer<typeof volumeSchema>

/** A snapshot's metadata. */
export const snapshotSchema = z.object({ progress, volumeId: branded<VolumeId>(), tags })
export type SnapshotMetadata = z.infer<typeof snapshotSchema>

/** An image's `image.json`; disks in order, boot disk first. */
export const imageSchema = z.object({
  progress,
  disks: z.array(z.object({ snapshotId: branded<SnapshotId>(), isBootDisk: z.boolean() })),
  tags,
})
export type ImageMetadata = z.infer<typeof imageSchema>

/** A machine's `machine.json`. */
export const machineSchema = z.object({
  progress,
  name: z.string(),
  /** The image whose disks its own stand on; missing once they stand alone. */
  imageId: branded<ImageId>().optional(),
  diskCount: z.number(),
  cpuCount: z.number(),
  ramBytes: z.number(),
  /** What was asked for and is not given, for the operator. */
  reduced: z.string().optional(),
  firmware: z.enum(['BIOS', 'UEFI']),
  started: z.boolean(),
  /** It has a port for commands. */
  takesCommands: z.boolean().optional(),
  ports: z.array(z.object({ guestPort: z.number(), hostPort: z.number() })),
  /** How it was started last; missing while it never was. */
  accelerator: z.enum(['kvm', 'tcg']).optional(),
  acceleratorReason: z.string().optional(),
  tags,
})
export type MachineMetadata = z.infer<typeof machineSchema>

/** Where each kind of thing is listed. */
const kinds: { kind: CloudResource['kind'] & IdKind; parent: keyof Layout; file?: string }[] = [
  { kind: 'replicationServer', parent: 'replicationServers', file: metadataNames.replicationServer },
  { kind: 'volume', parent: 'volumes' },
  { kind: 'snapshot', parent: 'snapshots' },
  { kind: 'image', parent: 'images', file: metadataNames.image },
  { kind: 'machine', parent: 'machines', file: metadataNames.machine },
]

/** Everything in the folders, half-made things too; what has lost its metadata is listed without tags. */
export async function listEverything(layout: Layout): Promise<CloudResource[]> {
  const found: CloudResource[] = []
  for (const { kind, parent, file } of kinds) {
    const folder = layout[parent] as string
    const names = (await unlessMissing(readdir(folder))) ?? []
    const ids = new Set(names.map((name) => name.split('.')[0] ?? '').filter((name) => isId(kind, name)))
    for (const id of [...ids].sort()) {
      const metadata = file === undefined ? path.join(folder, `${id}.json`) : path.join(folder, id, file)
      const known = await readJson(metadata, z.object({ tags }))
      found.push({ kind, id, tags: known?.tags ?? {} })
    }
  }
  return found
}
