/**
 * What the memory cloud remembers. It outlives the provider objects that work on it, as a real cloud outlives its clients.
 * @module
 */
import type {
  CommandId,
  ImageId,
  MachineId,
  ReplicationServerId,
  SnapshotId,
  VolumeId,
} from '../../domain/ids.ts'
import { NotFoundError } from '../../domain/errors.ts'
import type { ShellScript } from '../../domain/command_document.ts'
import type { CloudCommand, CloudMachine, CloudReplicationServer } from '../provider.ts'

type Tags = Record<string, string>

/** A replication server; no process stands behind it. */
export interface MemoryReplicationServer extends CloudReplicationServer {
  tags: Tags
}
/** A volume: a sparse file. */
export interface MemoryVolume {
  path: string
  sizeBytes: number
  tags: Tags
  attachedTo?: ReplicationServerId
}
/** A snapshot: a copy of the file. */
export interface MemorySnapshot {
  path: string
  tags: Tags
}
/** An image: writable copies of snapshots, boot disk first. */
export interface MemoryImage {
  diskPaths: string[]
  snapshotIds: SnapshotId[]
  tags: Tags
}
/** A machine: writable copies of an image's disks and what its guest printed. */
export interface MemoryMachine extends CloudMachine {
  diskPaths: string[]
  consoleText: string
  /** Missing once the machine stands alone. */
  imageId?: ImageId
  takesCommands: boolean
  commands: Map<CommandId, ShellScript>
  tags: Tags
}

/** What a guest did when it was booted. */
export interface GuestBoot {
  consoleText: string
  /** Where the guest ports that answer are found; a port not named here answers nowhere. */
  ports?: Record<number, { host: string; port: number }>
}

/** Stands for the guest's operating system: gets the machine's own disks, boot disk first, and may read and write them. */
export type Guest = (machine: { diskPaths: readonly string[] }) => Promise<GuestBoot>

/** A guest that comes up to its login prompt and answers on no port. */
export const loginGuest: Guest = () =>
  Promise.resolve({ consoleText: 'Debian GNU/Linux 12 memory ttyS0\n\nmemory login: ' })

/** What a command has come to by now, as a guest would tell it. */
export type CommandGuest = (script: ShellScript) => CloudCommand

/** A guest on which everything goes well at once. */
export const willingGuest: CommandGuest = () => ({ state: 'SUCCEEDED', output: '' })

/** The state of one memory cloud. */
export class MemoryCloud {
  readonly replicationServers = new Map<ReplicationServerId, MemoryReplicationServer>()
  readonly volumes = new Map<VolumeId, MemoryVolume>()
  readonly snapshots = new Map<SnapshotId, MemorySnapshot>()
  readonly images = new Map<ImageId, MemoryImage>()
  readonly machines = new Map<MachineId, MemoryMachine>()
  guest: Guest
  commandGuest: CommandGuest = willingGuest
  /** Every script that a machine was given to run, in order. */
  readonly ran: ShellScript[] = []

  constructor(guest: Guest = loginGuest) {
    this.guest = guest
  }

  /** As if the replication server's process had died. @throws NotFoundError. */
  crashReplicationServer(id: ReplicationServerId): void {
    const server = this.replicationServers.get(id)
    if (server === undefined) throw new NotFoundError('replication server', id)
    server.state = 'STOPPED'
  }

  /** As if somebody had taken the replication server away; volumes still name it. @throws NotFoundError. */
  loseReplicationServer(id: ReplicationServerId): void {
    if (!this.replicationServers.delete(id)) throw new NotFoundError('replication server', id)
  }

  /** As if the machine had stopped by itself. @throws NotFoundError. */
  stopMachine(id: MachineId, reason: string): void {
    const machine = this.machines.get(id)
    if (machine === undefined) throw new NotFoundError('machine', id)
    machine.state = 'STOPPED'
    machine.stateReason = reason
  }
}
