/**
 * The memory cloud, for tests: keeps its state in a `MemoryCloud` and its disks in real files, and starts no process.
 * @module
 */
import { constants } from 'node:fs'
import { copyFile, mkdir, open, rm, stat, truncate } from 'node:fs/promises'
import path from 'node:path'
import { ConflictError, NotFoundError, PermanentError } from '../../domain/errors.ts'
import type {
  ImageId,
  MachineId,
  ReplicationServerId,
  SnapshotId,
  SourceServerId,
  VolumeId,
} from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import { defineProvider } from '../factory.ts'
import type {
  CloudCapabilities,
  CloudMachine,
  CloudProvider,
  CloudReplicationServer,
  CloudResource,
  CloudVolume,
  ConversionDisk,
  MachineSpec,
  PreflightFinding,
  ReplicationServerSpec,
  VolumeSpec,
} from '../provider.ts'
import { sourceServerTag } from '../provider.ts'
import { MemoryCloud, type MemoryMachine, type MemoryReplicationServer, type MemoryVolume } from './cloud.ts'
import { memoryConfigSchema, type MemoryConfig } from './config.ts'
import { blankScreen } from './screen.ts'

/** A port on which nothing answers: reserved, and never bound by this provider. */
const deadPort = 1

/** Provider over a `MemoryCloud`. Two of them on the same cloud and folder see the same things. */
export class MemoryProvider implements CloudProvider {
  readonly name = 'memory'
  readonly capabilities: CloudCapabilities = {
    instantSnapshots: false,
    screenshots: true,
    consoleText: true,
    maxVolumeBytes: 2 ** 44,
    maxVolumesPerReplicationServer: 500,
    hardware: {
      diskDrivers: ['virtio_pci', 'virtio_blk'],
      networkDrivers: ['virtio_net'],
      serialConsole: 'ttyS0',
      firmwares: ['BIOS', 'UEFI'],
    },
  }
  readonly #config: MemoryConfig
  readonly #cloud: MemoryCloud
  readonly #folder: string

  constructor(config: MemoryConfig, cloud: MemoryCloud) {
    this.#config = config
    this.#cloud = cloud
    this.#folder = path.join(config.dataDir, 'cloud')
  }

  preflight(): Promise<PreflightFinding[]> {
    return Promise.resolve([{ ok: true, what: 'The memory cloud needs nothing' }])
  }

  createReplicationServer(spec: ReplicationServerSpec): Promise<CloudReplicationServer> {
    const id = spec.replicationServerId
    const found = this.#cloud.replicationServers.get(id)
    const server: MemoryReplicationServer = found ?? {
      replicationServerId: id,
      state: 'RUNNING',
      address: this.#config.publicHost,
      port: this.#config.replicationPort,
      tags: spec.tags,
    }
    server.state = 'RUNNING'
    this.#cloud.replicationServers.set(id, server)
    return Promise.resolve(replicationServerView(server))
  }

  describeReplicationServer(id: ReplicationServerId): Promise<CloudReplicationServer | undefined> {
    const server = this.#cloud.replicationServers.get(id)
    return Promise.resolve(server && replicationServerView(server))
  }

  async restartReplicationServer(id: ReplicationServerId): Promise<void> {
    this.#replicationServer(id).state = 'RUNNING'
  }

  removeReplicationServer(id: ReplicationServerId): Promise<void> {
    this.#cloud.replicationServers.delete(id)
    for (const volume of this.#cloud.volumes.values()) if (volume.attachedTo === id) delete volume.attachedTo
    return Promise.resolve()
  }

  async createVolume(spec: VolumeSpec): Promise<VolumeId> {
    const id = idFromToken('volume', spec.clientToken)
    if (this.#cloud.volumes.has(id)) return id
    const file = await this.#file(`${id}.raw`)
    const handle = await open(file, 'w')
    await handle.truncate(spec.sizeBytes)
    await handle.close()
    this.#cloud.volumes.set(id, { path: file, sizeBytes: spec.sizeBytes, tags: spec.tags })
    return id
  }

  async describeVolume(volumeId: VolumeId): Promise<CloudVolume | undefined> {
    const volume = this.#cloud.volumes.get(volumeId)
    if (volume === undefined) return undefined
    const bytes = await sizeOf(volume.path)
    if (bytes !== undefined && bytes >= volume.sizeBytes) return { volumeId, state: 'READY' }
    const found = bytes === undefined ? 'is missing' : `has ${bytes} bytes instead of ${volume.sizeBytes}`
    return { volumeId, state: 'DAMAGED', stateReason: `its file ${volume.path} ${found}` }
  }

  async growVolume(volumeId: VolumeId, sizeBytes: number): Promise<void> {
    const volume = this.#volume(volumeId)
    if (sizeBytes < volume.sizeBytes) {
      throw new PermanentError(
        `Cannot shrink volume ${volumeId} from ${volume.sizeBytes} to ${sizeBytes} bytes`,
      )
    }
    await truncate(volume.path, sizeBytes)
    volume.sizeBytes = sizeBytes
  }

  async attachVolume(volumeId: VolumeId, replicationServerId: ReplicationServerId): Promise<string> {
    const volume = this.#volume(volumeId)
    this.#replicationServer(replicationServerId)
    const { attachedTo } = volume
    if (
      attachedTo !== undefined &&
      attachedTo !== replicationServerId &&
      this.#cloud.replicationServers.has(attachedTo)
    ) {
      throw new ConflictError(
        `Cannot attach volume ${volumeId} to ${replicationServerId}: it is attached to ${attachedTo}; detach it first`,
      )
    }
    volume.attachedTo = replicationServerId
    return volume.path
  }

  async detachVolume(volumeId: VolumeId): Promise<void> {
    const volume = this.#cloud.volumes.get(volumeId)
    if (volume !== undefined) delete volume.attachedTo
  }

  async deleteVolume(volumeId: VolumeId): Promise<void> {
    const volume = this.#cloud.volumes.get(volumeId)
    if (volume === undefined) return
    await rm(volume.path, { force: true })
    this.#cloud.volumes.delete(volumeId)
  }

  async createSnapshot(spec: {
    clientToken: string
    volumeId: VolumeId
    tags: Record<string, string>
  }): Promise<SnapshotId> {
    const id = idFromToken('snapshot', spec.clientToken)
    if (this.#cloud.snapshots.has(id)) return id
    const file = await this.#file(`${id}.raw`)
    const volume = this.#volume(spec.volumeId)
    const { state, stateReason } = (await this.describeVolume(spec.volumeId)) ?? {}
    if (state === 'DAMAGED') {
      throw new PermanentError(`Cannot copy volume ${spec.volumeId}: it is damaged, ${stateReason}`)
    }
    await copy(volume.path, file)
    this.#cloud.snapshots.set(id, { path: file, tags: spec.tags })
    return id
  }

  async deleteSnapshot(snapshotId: SnapshotId): Promise<void> {
    const snapshot = this.#cloud.snapshots.get(snapshotId)
    if (snapshot === undefined) return
    for (const [imageId, image] of this.#cloud.images) {
      if (image.snapshotIds.includes(snapshotId)) {
        throw new ConflictError(
          `Cannot delete snapshot ${snapshotId}: image ${imageId} stands on it; delete that first`,
        )
      }
    }
    await rm(snapshot.path, { force: true })
    this.#cloud.snapshots.delete(snapshotId)
  }

  async createImage(spec: {
    clientToken: string
    disks: { snapshotId: SnapshotId; isBootDisk: boolean }[]
    tags: Record<string, string>
  }): Promise<ImageId> {
    const id = idFromToken('image', spec.clientToken)
    if (this.#cloud.images.has(id)) return id
    const disks = spec.disks.toSorted((a, b) => Number(b.isBootDisk) - Number(a.isBootDisk))
    const diskPaths: string[] = []
    for (const [index, { snapshotId }] of disks.entries()) {
      const snapshot = this.#cloud.snapshots.get(snapshotId)
      if (snapshot === undefined) throw new NotFoundError('snapshot', snapshotId)
      const file = await this.#file(`${id}-${index}.raw`)
      await copy(snapshot.path, file)
      diskPaths.push(file)
    }
    const snapshotIds = disks.map(({ snapshotId }) => snapshotId)
    this.#cloud.images.set(id, { diskPaths, snapshotIds, tags: spec.tags })
    return id
  }

  async openImage(imageId: ImageId): Promise<ConversionDisk[]> {
    const image = this.#cloud.images.get(imageId)
    if (image === undefined) throw new NotFoundError('image', imageId)
    return image.diskPaths.map((diskPath, index) => ({
      path: diskPath,
      format: 'raw',
      isBootDisk: index === 0,
    }))
  }

  async deleteImage(imageId: ImageId): Promise<void> {
    const image = this.#cloud.images.get(imageId)
    if (image === undefined) return
    for (const [machineId, machine] of this.#cloud.machines) {
      if (machine.imageId === imageId) {
        throw new ConflictError(
          `Cannot delete image ${imageId}: machine ${machineId} stands on it; detach or terminate that first`,
        )
      }
    }
    for (const diskPath of image.diskPaths) await rm(diskPath, { force: true })
    this.#cloud.images.delete(imageId)
  }

  async launchMachine(spec: MachineSpec): Promise<CloudMachine> {
    const id = idFromToken('machine', spec.clientToken)
    const found = this.#cloud.machines.get(id)
    if (found !== undefined) return machineView(found)
    const diskPaths: string[] = []
    for (const [index, disk] of (await this.openImage(spec.imageId)).entries()) {
      const file = await this.#file(`${id}-${index}.raw`)
      await copy(disk.path, file)
      diskPaths.push(file)
    }
    const boot = spec.started ? await this.#cloud.guest({ diskPaths }) : { consoleText: '' }
    const machine: MemoryMachine = {
      machineId: id,
      state: spec.started ? 'RUNNING' : 'STOPPED',
      ...(spec.started ? {} : { stateReason: 'It was not to be started' }),
      endpoints: spec.reachablePorts.map((guestPort) => ({
        guestPort,
        ...(boot.ports?.[guestPort] ?? { host: '127.0.0.1', port: deadPort }),
      })),
      description: 'memory',
      diskPaths,
      consoleText: boot.consoleText,
      imageId: spec.imageId,
      tags: spec.tags,
    }
    this.#cloud.machines.set(id, machine)
    return machineView(machine)
  }

  async describeMachine(machineId: MachineId): Promise<CloudMachine | undefined> {
    const machine = this.#cloud.machines.get(machineId)
    return machine && machineView(machine)
  }

  async consoleText(machineId: MachineId, maxBytes: number): Promise<string> {
    const text = Buffer.from(this.#machine(machineId).consoleText)
    return text.subarray(Math.max(0, text.length - maxBytes)).toString()
  }

  async screenshot(machineId: MachineId): Promise<Uint8Array | undefined> {
    return this.#machine(machineId).state === 'RUNNING' ? blankScreen() : undefined
  }

  async detachMachineFromImage(machineId: MachineId): Promise<void> {
    delete this.#machine(machineId).imageId
  }

  async terminateMachine(machineId: MachineId): Promise<void> {
    const machine = this.#cloud.machines.get(machineId)
    if (machine === undefined) return
    for (const diskPath of machine.diskPaths) await rm(diskPath, { force: true })
    this.#cloud.machines.delete(machineId)
  }

  async listResources(sourceServerId?: SourceServerId): Promise<CloudResource[]> {
    const { replicationServers, volumes, snapshots, images, machines } = this.#cloud
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

  async #file(name: string): Promise<string> {
    await mkdir(this.#folder, { recursive: true })
    return path.join(this.#folder, name)
  }

  #volume(id: VolumeId): MemoryVolume {
    const volume = this.#cloud.volumes.get(id)
    if (volume === undefined) throw new NotFoundError('volume', id)
    return volume
  }

  #replicationServer(id: ReplicationServerId): MemoryReplicationServer {
    const server = this.#cloud.replicationServers.get(id)
    if (server === undefined) throw new NotFoundError('replication server', id)
    return server
  }

  #machine(id: MachineId): MemoryMachine {
    const machine = this.#cloud.machines.get(id)
    if (machine === undefined) throw new NotFoundError('machine', id)
    return machine
  }
}

async function copy(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE)
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

function replicationServerView(server: MemoryReplicationServer): CloudReplicationServer {
  const { replicationServerId, state, address, port } = server
  return { replicationServerId, state, address, port }
}

function machineView(machine: MemoryMachine): CloudMachine {
  const { machineId, state, stateReason, endpoints, description } = machine
  return { machineId, state, ...(stateReason === undefined ? {} : { stateReason }), endpoints, description }
}

/** Registry entry. Each provider made has a cloud of its own; tests that need two on one cloud use the class. */
export const memoryFactory = defineProvider<MemoryConfig>({
  name: 'memory',
  schema: memoryConfigSchema,
  show: (config) => ({ ...config }),
  make: (config) => new MemoryProvider(config, new MemoryCloud()),
})
