/**
 * The memory cloud, for tests: keeps its state in a `MemoryCloud` and its disks in real files, and starts no process. Each method is one
 * function of the file named after the thing it is about.
 * @module
 */
import type {
  CommandId,
  ImageId,
  MachineId,
  ReplicationServerId,
  SnapshotId,
  SourceServerId,
  VolumeId,
} from '../../domain/ids.ts'
import { knownDocuments } from '../../domain/command_document.ts'
import { defineProvider } from '../factory.ts'
import { keptTags } from '../kept_tags.ts'
import type {
  CloudCapabilities,
  CloudCommand,
  CloudMachine,
  CloudProvider,
  CloudReplicationServer,
  CloudResource,
  CloudVolume,
  CommandSpec,
  ConversionDisk,
  MachineSpec,
  PreflightFinding,
  ReplicationServerSpec,
  VolumeSpec,
} from '../provider.ts'
import { sourceServerTag } from '../provider.ts'
import { MemoryCloud } from './cloud.ts'
import { describeCommand, sendCommand } from './commands.ts'
import { memoryConfigSchema, type MemoryConfig } from './config.ts'
import type { MemoryContext } from './context.ts'
import {
  createImage,
  createSnapshot,
  deleteImage,
  deleteSnapshot,
  openImage,
  type ImageSpec,
  type SnapshotSpec,
} from './images.ts'
import { consoleText, findMachine, launchMachine, machineView, terminateMachine } from './machines.ts'
import {
  createReplicationServer,
  describeReplicationServer,
  findReplicationServer,
  removeReplicationServer,
} from './replication_servers.ts'
import { blankScreen } from './screen.ts'
import {
  attachVolume,
  createVolume,
  deleteVolume,
  describeVolume,
  detachVolume,
  growVolume,
} from './volumes.ts'

/** Provider over a `MemoryCloud`. Two of them on the same cloud and folder see the same things. */
export class MemoryProvider implements CloudProvider {
  readonly name = 'memory'
  readonly capabilities: CloudCapabilities = {
    instantSnapshots: false,
    screenshots: true,
    consoleText: true,
    maxVolumeBytes: 2 ** 44,
    maxVolumesPerReplicationServer: 500,
    documents: knownDocuments,
    hardware: {
      diskDrivers: ['virtio_pci', 'virtio_blk'],
      networkDrivers: ['virtio_net'],
      serialConsole: 'ttyS0',
      firmwares: ['BIOS', 'UEFI'],
      commandPort: 'org.rehost.commands',
    },
  }
  readonly #context: MemoryContext

  constructor(config: MemoryConfig, cloud: MemoryCloud) {
    this.#context = { config, cloud }
  }

  async preflight(): Promise<PreflightFinding[]> {
    return [{ ok: true, what: 'The memory cloud needs nothing' }]
  }

  async createReplicationServer(spec: ReplicationServerSpec): Promise<CloudReplicationServer> {
    return createReplicationServer(this.#context, spec)
  }

  async describeReplicationServer(id: ReplicationServerId): Promise<CloudReplicationServer | undefined> {
    return describeReplicationServer(this.#context, id)
  }

  async restartReplicationServer(id: ReplicationServerId): Promise<void> {
    findReplicationServer(this.#context, id).state = 'RUNNING'
  }

  async removeReplicationServer(id: ReplicationServerId): Promise<void> {
    removeReplicationServer(this.#context, id)
  }

  async createVolume(spec: VolumeSpec): Promise<VolumeId> {
    return await createVolume(this.#context, spec)
  }

  async describeVolume(volumeId: VolumeId): Promise<CloudVolume | undefined> {
    return await describeVolume(this.#context, volumeId)
  }

  async growVolume(volumeId: VolumeId, sizeBytes: number): Promise<void> {
    await growVolume(this.#context, volumeId, sizeBytes)
  }

  async attachVolume(volumeId: VolumeId, replicationServerId: ReplicationServerId): Promise<string> {
    return attachVolume(this.#context, volumeId, replicationServerId)
  }

  async detachVolume(volumeId: VolumeId): Promise<void> {
    detachVolume(this.#context, volumeId)
  }

  async deleteVolume(volumeId: VolumeId): Promise<void> {
    await deleteVolume(this.#context, volumeId)
  }

  async createSnapshot(spec: SnapshotSpec): Promise<SnapshotId> {
    return await createSnapshot(this.#context, spec)
  }

  async deleteSnapshot(snapshotId: SnapshotId): Promise<void> {
    await deleteSnapshot(this.#context, snapshotId)
  }

  async createImage(spec: ImageSpec): Promise<ImageId> {
    return await createImage(this.#context, spec)
  }

  async openImage(imageId: ImageId): Promise<ConversionDisk[]> {
    return openImage(this.#context, imageId)
  }

  async deleteImage(imageId: ImageId): Promise<void> {
    await deleteImage(this.#context, imageId)
  }

  async launchMachine(spec: MachineSpec): Promise<CloudMachine> {
    return await launchMachine(this.#context, spec)
  }

  async describeMachine(machineId: MachineId): Promise<CloudMachine | undefined> {
    const machine = this.#context.cloud.machines.get(machineId)
    return machine && machineView(machine)
  }

  async consoleText(machineId: MachineId, maxBytes: number): Promise<string> {
    return consoleText(this.#context, machineId, maxBytes)
  }

  async screenshot(machineId: MachineId): Promise<Uint8Array | undefined> {
    return findMachine(this.#context, machineId).state === 'RUNNING' ? blankScreen() : undefined
  }

  async detachMachineFromImage(machineId: MachineId): Promise<void> {
    const machine = findMachine(this.#context, machineId)
    delete machine.imageId
    machine.tags = keptTags(machine.tags)
  }

  async terminateMachine(machineId: MachineId): Promise<void> {
    await terminateMachine(this.#context, machineId)
  }

  async sendCommand(spec: CommandSpec): Promise<CommandId> {
    return sendCommand(this.#context, spec)
  }

  async describeCommand(machineId: MachineId, commandId: CommandId): Promise<CloudCommand> {
    return describeCommand(this.#context, machineId, commandId)
  }

  async listResources(sourceServerId?: SourceServerId): Promise<CloudResource[]> {
    const { replicationServers, volumes, snapshots, images, machines } = this.#context.cloud
    const list = (kind: CloudResource['kind'], things: Map<string, { tags: Record<string, string> }>) =>
      [...things].map(([id, { tags }]) => ({ kind, id, tags }))
    return [
      ...list('replicationServer', replicationServers),
      ...list('volume', volumes),
      ...list('snapshot', snapshots),
      ...list('image', images),
      ...list('machine', machines),
    ].filter(({ tags }) => sourceServerId === undefined || tags[sourceServerTag] === sourceServerId)
  }
}

/** Registry entry. Each provider made has a cloud of its own; tests that need two on one cloud use the class. */
export const memoryFactory = defineProvider<MemoryConfig>({
  name: 'memory',
  schema: memoryConfigSchema,
  show: (config) => ({ ...config }),
  make: (config) => new MemoryProvider(config, new MemoryCloud()),
})
