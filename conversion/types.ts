/**
 * What conversion is given, what it finds and what it does: plain data.
 * @module
 */

/** A disk to convert, writable; the boot disk comes first. */
export interface DiskToConvert {
  path: string
  format: 'raw' | 'qcow2'
  isBootDisk: boolean
  /** What the source calls it, e.g. `/dev/vdb`. Without it, names are taken to follow the order of the disks. */
  sourceDeviceName?: string | undefined
}

/** The hardware the guest will find; the same words as the cloud seam's. */
export interface TargetHardware {
  diskDrivers: string[]
  networkDrivers: string[]
  serialConsole: string
  firmwares: ('BIOS' | 'UEFI')[]
  /** The port by which commands come, as the guest finds it below `/dev/virtio-ports`; absent when none will. */
  commandPort?: string
}

/** What configures the guest's network. */
export type NetworkStack =
  'ifupdown' | 'netplan' | 'systemd-networkd' | 'NetworkManager' | 'network-scripts' | 'unknown'
/** What starts the guest's kernel. */
export type BootLoader = 'grub2' | 'extlinux' | 'unknown'
/** What starts the guest's services. */
export type InitSystem = 'systemd' | 'sysvinit' | 'unknown'

/** A RAID array as its own disks describe it. */
export interface RaidArray {
  uuid: string
  /** With the host that made it before a colon; empty in old formats. */
  name: string
}

/** A file system or swap area on the guest's disks, under the appliance's device name. */
export interface FileSystem {
  device: string
  /** As blkid names it: `ext4`, `xfs`, `swap`, … */
  type: string
  uuid: string
  label: string
  partUuid: string
  partLabel: string
  /** A GUID in a GPT, a number such as `0x83` in an MBR. */
  partType: string
  /** The RAID array that it is on, whole or as a partition of it. */
  array?: RaidArray
  /** What the guest calls the place, where that follows from more than the order of its disks. */
  guestNames?: string[]
  /** Where conversion has it mounted. */
  mountPoint?: string
}

/** An installed kernel and which of the wanted drivers it can load before its root file system is there. */
export interface Kernel {
  version: string
  initramfsPath?: string
  /** False when it is packed in a way that cannot be read here; all drivers are missing then, as far as is known. */
  isInitramfsReadable: boolean
  /** Disk drivers found neither built in nor in the initial RAM disk. */
  missingDrivers: string[]
  /** Of the target's disk and network drivers, those that this kernel does not have at all. */
  absentDrivers: string[]
}

/** A text file of the guest that a change may be about. Latin-1: one character for each byte. */
export interface GuestFile {
  path: string
  text: string
}

/** Boot loaders on the EFI system partition. */
export interface EfiPartition {
  /** Where it is mounted. */
  mountPoint: string
  /** Paths of all `.efi` programs. */
  loaders: string[]
}

/** Everything a plan is made from. */
export interface Guest {
  family: 'linux'
  /** `ID` of os-release, e.g. `debian`. */
  distribution: string
  productName: string
  version: string
  architecture: string
  hostname: string
  rootDevice: string
  fileSystems: FileSystem[]
  usesLvm: boolean
  /** Source's names of the disks, in the appliance's order; undefined where not known. */
  sourceDeviceNames: (string | undefined)[]
  /** How the launched machine must start. */
  firmware: 'BIOS' | 'UEFI'
  bootLoader: BootLoader
  initSystem: InitSystem
  kernels: Kernel[]
  networkStack: NetworkStack
  /** Something that asks for an address when ifupdown tells it to. */
  hasDhcpClient: boolean
  hasNetworkd: boolean
  /** Whether a login prompt on the target's serial console is switched on for good. */
  hasSerialLogin: boolean
  /** Files and folders of the agent that are there. */
  agentPaths: string[]
  hasSelinux: boolean
  /** Texts that changes look into: fstab, boot loader configuration, network configuration. */
  files: GuestFile[]
  efi?: EfiPartition
  /** What could not be looked at. */
  warnings: string[]
}

/** One thing to do to the guest's files. */
export type Operation =
  | { kind: 'write'; path: string; text: string; mode?: number }
  /** Keeps a file under the name `to`. */
  | { kind: 'rename'; path: string; to: string }
  | { kind: 'remove'; path: string }
  | { kind: 'copy'; path: string; to: string }
  | { kind: 'link'; path: string; target: string }
  /** Gives a path without SELinux label the one of its folder. */
  | { kind: 'label'; path: string }
  /** Appends kernel modules, and those that they need, to an initial RAM disk. */
  | { kind: 'extendInitramfs'; path: string; kernelVersion: string; drivers: string[] }

/** A named change with its reason. Doing it twice is doing it once. */
export interface Change {
  name: string
  what: string
  because: string
  operations: Operation[]
}

/** What will be done, and what the operator should know. */
export interface Plan {
  changes: Change[]
  warnings: string[]
}

/** What was found and done. */
export interface ConversionReport {
  guest: Omit<Guest, 'files'>
  changes: { name: string; what: string; because: string; paths: string[] }[]
  warnings: string[]
  /** What was left as it is on purpose. */
  kept: string[]
  seconds: { launch: number; inspect: number; apply: number }
}
