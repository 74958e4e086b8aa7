/**
 * The cloud seam. A provider raises staging areas, keeps volumes and snapshots, and launches machines; it knows nothing of guests,
 * jobs or lifecycles. Implementations: `qemu/`, `memory/`, later `aws/`; one contract suite runs over all of them.
 *
 * Rules for every method, for the implementer:
 * - A method that creates takes a `clientToken` chosen by the caller and may be called again with it at any time, also by another
 *   process and after a crash in the middle of an earlier call: it then finishes what was begun and returns the same thing. It never
 *   makes a second one.
 * - A method that removes succeeds when the thing is gone already.
 * - Transient trouble is thrown as an ordinary Error (the caller retries with back-off); what no retry can help as PermanentError;
 *   a missing thing as NotFoundError. Messages name the thing, the value seen and what to do.
 * - Everything created carries the tags given, and is found by `listResources`.
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
} from '../domain/ids.ts'

/** Differences between clouds, as data. Callers ask this, never which provider they have. */
export interface CloudCapabilities {
  /** A snapshot's time does not grow with the disk (reflink, EBS). Otherwise the replica's writes wait while it is copied. */
  instantSnapshots: boolean
  screenshots: boolean
  consoleText: boolean
  maxVolumeBytes: number
  maxVolumesPerReplicationServer: number
  /** Documents that it can have a launched machine run; none where it cannot. */
  documents: readonly string[]
  /** What launched machines are made of: what conversion must prepare the guest for. */
  hardware: GuestHardware
}

/** The hardware a launched machine sees. */
export interface GuestHardware {
  /** Kernel modules without which it cannot find its root disk, e.g. `virtio_blk`. */
  diskDrivers: string[]
  networkDrivers: string[]
  /** Linux name of the serial console that `consoleText` reads, e.g. `ttyS0`. */
  serialConsole: string
  firmwares: ('BIOS' | 'UEFI')[]
  /** The port by which commands come to the guest, which needs a runner that reads it. Missing where the cloud has its own way. */
  commandPort?: string
}

/** One thing found before the first costly step; `whatToDo` is a command or a sentence. */
export interface PreflightFinding {
  ok: boolean
  what: string
  whatToDo?: string
}

/** Raises a replication server. */
export interface ReplicationServerSpec {
  replicationServerId: ReplicationServerId
  /** Where and how it makes first contact: URL of the agent port, CA certificate, one-time token. Secret. */
  enrolment: { gatewayUrl: string; caPem: string; token: string }
  tags: Record<string, string>
}

/** A replication server as the cloud sees it. */
export interface CloudReplicationServer {
  replicationServerId: ReplicationServerId
  state: 'PENDING' | 'RUNNING' | 'STOPPED' | 'GONE'
  /** Why it is STOPPED, e.g. the last words of its log. */
  stateReason?: string
  /** Where agents connect. */
  address: string
  port: number
}

/** Makes an empty, all-zero volume. */
export interface VolumeSpec {
  clientToken: string
  sizeBytes: number
  tags: Record<string, string>
}

/** A volume as the cloud sees it. */
export interface CloudVolume {
  volumeId: VolumeId
  /** DAMAGED: something outside Rehost removed or changed its content, which no longer is the replica. It is of no use any more. */
  state: 'READY' | 'DAMAGED'
  /** Why it is DAMAGED: what was found, as a sentence's end. */
  stateReason?: string
}

/** A machine to launch from an image. */
export interface MachineSpec {
  clientToken: string
  name: string
  imageId: ImageId
  cpuCount: number
  ramBytes: number
  firmware: 'BIOS' | 'UEFI'
  /** Guest ports that must be reachable for checks; the machine is otherwise alone in its own network. */
  reachablePorts: number[]
  started: boolean
  /** Commands will be sent to it; the guest was prepared for them. */
  takesCommands?: boolean
  tags: Record<string, string>
}

/** Something to be run on a launched machine, by its administrator. Secret: parameters may hold passwords. */
export interface CommandSpec {
  clientToken: string
  machineId: MachineId
  documentIdentifier: string
  parameters: Record<string, string[]>
  timeoutSeconds: number
}

/** A command as the cloud sees it. */
export interface CloudCommand {
  /** WAITING: the machine has not taken it yet. */
  state: 'WAITING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED'
  /** Why it FAILED, as a sentence. */
  stateReason?: string
  /** The end of what it printed, once it is over. */
  output: string
}

/** A launched machine as the cloud sees it. */
export interface CloudMachine {
  machineId: MachineId
  state: 'PENDING' | 'RUNNING' | 'STOPPED' | 'TERMINATED' | 'FAILED'
  /** Why it is FAILED or STOPPED by itself. */
  stateReason?: string
  /** Where each reachable guest port answers. */
  endpoints: { guestPort: number; host: string; port: number }[]
  /** For the operator: how it runs, e.g. `qemu, TCG (KVM: no /dev/kvm)`. */
  description: string
}

/** A disk of an image opened for conversion, reachable from the machine that converts. */
export interface ConversionDisk {
  path: string
  format: 'raw' | 'qcow2'
  isBootDisk: boolean
}

/** Something Rehost created in the cloud. */
export interface CloudResource {
  kind: 'replicationServer' | 'volume' | 'snapshot' | 'image' | 'machine'
  id: string
  tags: Record<string, string>
}

/** The tag every resource made for a source server carries. */
export const sourceServerTag = 'rehost:source-server-id'

/** Takes the place of {@link sourceServerTag} on a machine that stands alone, so that nothing takes it away with its server's resources. */
export const keptOfTag = 'rehost:kept-of'

/** The seam. */
export interface CloudProvider {
  readonly name: string
  readonly capabilities: CloudCapabilities
  /** Checks tools, rights, space and accelerators before the first slow step. Changes nothing that stays. */
  preflight(): Promise<PreflightFinding[]>

  /** Starts it or finds it running; `replicationServerId` is the client token. One that has vanished is made anew, volumes stay attached. */
  createReplicationServer(spec: ReplicationServerSpec): Promise<CloudReplicationServer>
  describeReplicationServer(id: ReplicationServerId): Promise<CloudReplicationServer | undefined>
  /** Starts it again when it died; a no-op when it runs. @throws NotFoundError when it was never created. */
  restartReplicationServer(id: ReplicationServerId): Promise<void>
  removeReplicationServer(id: ReplicationServerId): Promise<void>

  createVolume(spec: VolumeSpec): Promise<VolumeId>
  /** Undefined when there is none. Cheap: it looks at the volume, never through it. */
  describeVolume(volumeId: VolumeId): Promise<CloudVolume | undefined>
  /** Makes a volume larger; never smaller. */
  growVolume(volumeId: VolumeId, sizeBytes: number): Promise<void>
  /** Returns the device path as the replication server sees it. */
  attachVolume(volumeId: VolumeId, replicationServerId: ReplicationServerId): Promise<string>
  detachVolume(volumeId: VolumeId): Promise<void>
  /** Attached or not; snapshots of it stay. */
  deleteVolume(volumeId: VolumeId): Promise<void>

  /**
   * Point-in-time copy of a volume. The caller guarantees that nothing writes to it until this returns.
   * @throws PermanentError when the volume is damaged.
   */
  createSnapshot(spec: {
    clientToken: string
    volumeId: VolumeId
    tags: Record<string, string>
  }): Promise<SnapshotId>
  /** @throws ConflictError where an image still stands on it. */
  deleteSnapshot(snapshotId: SnapshotId): Promise<void>

  /** A throw-away, writable view of snapshots, boot disk first; the snapshots themselves are never written. */
  createImage(spec: {
    clientToken: string
    disks: { snapshotId: SnapshotId; isBootDisk: boolean }[]
    tags: Record<string, string>
  }): Promise<ImageId>
  /** Where conversion finds the image's disks. @throws NotFoundError. */
  openImage(imageId: ImageId): Promise<ConversionDisk[]>
  /** @throws ConflictError where a machine still stands on it: detach or terminate that first. */
  deleteImage(imageId: ImageId): Promise<void>

  /** Launches a machine on its own copy of the image, in its own network. The image is not written. */
  launchMachine(spec: MachineSpec): Promise<CloudMachine>
  describeMachine(machineId: MachineId): Promise<CloudMachine | undefined>
  /** Serial console so far, newest last, at most `maxBytes` from the end. Empty while there is none. */
  consoleText(machineId: MachineId, maxBytes: number): Promise<string>
  /** PNG of the screen, or undefined when the machine has none now. */
  screenshot(machineId: MachineId): Promise<Uint8Array | undefined>
  /**
   * Makes the machine's disks stand alone, running or not, so that image, snapshots and volumes can go, and turns its
   * {@link sourceServerTag} into {@link keptOfTag}: it is found by its id from then on.
   */
  detachMachineFromImage(machineId: MachineId): Promise<void>
  terminateMachine(machineId: MachineId): Promise<void>

  /**
   * Has the machine run a document. With the same token it runs once, whatever came in between, as the first call has it.
   * @throws NotFoundError when there is no machine; PermanentError when it takes no commands or the document is not known;
   *   InvalidInputError for values of no use.
   */
  sendCommand(spec: CommandSpec): Promise<CommandId>
  /** @throws NotFoundError when there is no machine, or the command was never sent to it. */
  describeCommand(machineId: MachineId, commandId: CommandId): Promise<CloudCommand>

  /** Everything Rehost made here, or only what carries `sourceServerId`'s tag. */
  listResources(sourceServerId?: SourceServerId): Promise<CloudResource[]>
}
