/**
 * Where the QEMU cloud keeps each thing. Everything lies below `DATA_DIR/cloud`, so one folder is the whole cloud.
 *
 * ```
 * cloud/accelerator.json                     what this host can run machines with, and why
 * cloud/replication-servers/ID/              spec.json, token, ca.pem, pid, log, state/
 * cloud/volumes/ID.raw, ID.json              sparse raw file, metadata
 * cloud/snapshots/ID.raw, ID.json            copy of a volume
 * cloud/images/ID/                           image.json, disk0.qcow2 …: overlays on snapshots
 * cloud/machines/ID/                         machine.json, disk0.qcow2 …: overlays on the image, serial.log, qmp.sock, pid, log, vars.fd
 * ```
 * Metadata is written first with state CREATING and last with state READY. So what a crash left half made is still found, with its
 * tags, and a second call with the same token finishes it. Removal goes the other way: metadata is the last to go.
 * @module
 */
import path from 'node:path'
import type { ImageId, MachineId, ReplicationServerId, SnapshotId, VolumeId } from '../../domain/ids.ts'

/** Names of the metadata files inside a folder. */
export const metadataNames = {
  replicationServer: 'spec.json',
  image: 'image.json',
  machine: 'machine.json',
} as const

/** Paths of one QEMU cloud. */
export interface Layout {
  dataDir: string
  root: string
  accelerator: string
  replicationServers: string
  volumes: string
  snapshots: string
  images: string
  machines: string
  replicationServer(id: ReplicationServerId): string
  volume(id: VolumeId): { disk: string; metadata: string }
  snapshot(id: SnapshotId): { disk: string; metadata: string }
  image(id: ImageId): string
  machine(id: MachineId): string
}

/** The layout below `dataDir`, an absolute path. Pure. */
export function layoutOf(dataDir: string): Layout {
  const root = path.join(dataDir, 'cloud')
  const folder = (name: string) => path.join(root, name)
  const files = (parent: string, id: string) => ({
    disk: path.join(parent, `${id}.raw`),
    metadata: path.join(parent, `${id}.json`),
  })
  return {
    dataDir,
    root,
    accelerator: folder('accelerator.json'),
    replicationServers: folder('replication-servers'),
    volumes: folder('volumes'),
    snapshots: folder('snapshots'),
    images: folder('images'),
    machines: folder('machines'),
    replicationServer: (id) => path.join(folder('replication-servers'), id),
    volume: (id) => files(folder('volumes'), id),
    snapshot: (id) => files(folder('snapshots'), id),
    image: (id) => path.join(folder('images'), id),
    machine: (id) => path.join(folder('machines'), id),
  }
}

/** File name of disk `index` of an image or a machine; 0 is the boot disk. */
export function diskName(index: number): string {
  return `disk${index}.qcow2`
}
