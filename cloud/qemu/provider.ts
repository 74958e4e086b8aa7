/**
 * The QEMU cloud: this host as a staging area and as a place to launch machines. Each method is one function of the file named after
 * the thing it is about.
 * @module
 */
import { knownDocuments } from '../../domain/command_document.ts'
import { NotFoundError } from '../../domain/errors.ts'
import type {
  CommandId,
  ImageId,
  MachineId,
  ReplicationServerId,
  SnapshotId,
  SourceServerId,
  VolumeId,
} from '../../domain/ids.ts'
import { defineProvider, withoutCredentials } from '../factory.ts'
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
import { qemuConfigSchema, type QemuConfig } from './config.ts'
import { describeCommand, sendCommand } from './commands.ts'
import { contextOf, type QemuContext } from './context.ts'
import { hasReflinks } from './copy.ts'
import { findUefiFirmware } from './firmware.ts'
import { createImage, deleteImage, openImage, type ImageSpec } from './images.ts'
import { commandPort } from './machine_command.ts'
import { describeMachine, detachMachine, launchMachine, readMachine, terminateMachine } from './machines.ts'
import { consoleText, screenshot } from './machine_view.ts'
import { listEverything } from './metadata.ts'
import { preflight } from './preflight.ts'
import {
  createReplicationServer,
  findReplicationServer,
  removeReplicationServer,
  restartReplicationServer,
} from './replication_servers.ts'
import { createSnapshot, deleteSnapshot, type SnapshotSpec } from './snapshots.ts'
import {
  attachVolume,
  createVolume,
  deleteVolume,
  describeVolume,
  detachVolume,
  growVolume,
  maxVolumeBytes,
} from './volumes.ts'

/** Provider over one data folder. It keeps nothing in memory: any number of them, in any process, see the same things. */
export class QemuProvider implements CloudProvider {
  readonly name = 'qemu'
  readonly #context: QemuContext
  #capabilities: CloudCapabilities | undefined

  constructor(context: QemuContext) {
    this.#context = context
  }

  /** Found out at the first question, as it takes a look at the file system. */
  get capabilities(): CloudCapabilities {
    this.#capabilities ??= {
      instantSnapshots: hasReflinks(this.#context.layout.root),
      screenshots: true,
      consoleText: true,
      maxVolumeBytes,
      maxVolumesPerReplicationServer: 500,
      documents: knownDocuments,
      hardware: {
        diskDrivers: ['virtio_pci', 'virtio_blk'],
        networkDrivers: ['virtio_net'],
        serialConsole: 'ttyS0',
        firmwares: findUefiFirmware() === undefined ? ['BIOS'] : ['BIOS', 'UEFI'],
        commandPort,
      },
    }
    return this.#capabilities
  }

  async preflight(): Promise<PreflightFinding[]> {
    return await preflight(this.#context)
  }

  async createReplicationServer(spec: ReplicationServerSpec): Promise<CloudReplicationServer> {
    return await createReplicationServer(this.#context, spec)
  }

  async describeReplicationServer(id: ReplicationServerId): Promise<CloudReplicationServer | undefined> {
    return await findReplicationServer(this.#context, id)
  }

  async restartReplicationServer(id: ReplicationServerId): Promise<void> {
    await restartReplicationServer(this.#context, id)
  }

  async removeReplicationServer(id: ReplicationServerId): Promise<void> {
    await removeReplicationServer(this.#context, id)
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
    return await attachVolume(this.#context, volumeId, replicationServerId)
  }

  async detachVolume(volumeId: VolumeId): Promise<void> {
    await detachVolume(this.#context, volumeId)
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
    return await openImage(this.#context, imageId)
  }

  async deleteImage(imageId: ImageId): Promise<void> {
    await deleteImage(this.#context, imageId)
  }

  async launchMachine(spec: MachineSpec): Promise<CloudMachine> {
    return await launchMachine(this.#context, spec)
  }

  async describeMachine(machineId: MachineId): Promise<CloudMachine | undefined> {
    return await describeMachine(this.#context, machineId)
  }

  async consoleText(machineId: MachineId, maxBytes: number): Promise<string> {
    await this.#requireMachine(machineId)
    return await consoleText(this.#context, machineId, maxBytes)
  }

  async screenshot(machineId: MachineId): Promise<Uint8Array | undefined> {
    await this.#requireMachine(machineId)
    return await screenshot(this.#context, machineId)
  }

  async detachMachineFromImage(machineId: MachineId): Promise<void> {
    await detachMachine(this.#context, machineId)
  }

  async terminateMachine(machineId: MachineId): Promise<void> {
    await terminateMachine(this.#context, machineId)
  }

  async sendCommand(spec: CommandSpec): Promise<CommandId> {
    return await sendCommand(this.#context, spec)
  }

  async describeCommand(machineId: MachineId, commandId: CommandId): Promise<CloudCommand> {
    return await describeCommand(this.#context, machineId, commandId)
  }

  async listResources(sourceServerId?: SourceServerId): Promise<CloudResource[]> {
    const everything = await listEverything(this.#context.layout)
    if (sourceServerId === undefined) return everything
    return everything.filter(({ tags }) => tags[sourceServerTag] === sourceServerId)
  }

  async #requireMachine(id: MachineId): Promise<void> {
    if ((await readMachine(this.#context, id)) === undefined) throw new NotFoundError('machine', id)
  }
}

/** Registry entry. */
export const qemuFactory = defineProvider<QemuConfig>({
  name: 'qemu',
  schema: qemuConfigSchema,
  show: (config) => ({ ...config, redisUrl: withoutCredentials(config.redisUrl) }),
  make: (config) => new QemuProvider(contextOf(config)),
})
