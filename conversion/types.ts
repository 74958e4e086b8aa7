/**
 * What conversion is given, what it finds and what it does: plain data.
 * @module
 */

/** A disk to convert, writable; the boot disk comes first. */
export interface DiskToConvert {
  path: string
  format: 'raw' | 'qcow2'
  isBootDisk: boolean
}

/** The hardware the guest will find; the same words as the cloud seam's. */
export interface TargetHardware {
  diskDrivers: string[]
  networkDrivers: string[]
  serialConsole: string
  firmwares: ('BIOS' | 'UEFI')[]
}

export type NetworkStack = 'ifupdown' | 'netplan' | 'systemd-networkd' | 'NetworkManager' | 'network-scripts' | 'unknown'
export type BootLoader = 'grub2' | 'extlinux' | 'unknown'

/** A file system on the guest's disks, under the appliance's device name. */
export interface FileSystem {
  device: string
  type: string
  uuid: string
  label: string
  mountPoint?: string
}

/** An installed kernel and which of the wanted drivers it can load before its root file system is there. */
export interface Kernel {
  version: string
  initramfsPath?: string
  /** Drivers found neither built in nor in the initial RAM disk. Undefined when that could not be read. */
  missingDrivers?: string[]
}

/** A text file of the guest that a change may be about. */
export interface GuestFile {
  path: string
  text: string
}

/** Everything a plan is made from. */
export interface Guest {
  family: string
  distribution: string
  productName: string
  version: string
  architecture: string
  hostname: string
  rootDevice: string
  fileSystems: FileSystem[]
  firmware: 'BIOS' | 'UEFI'
  bootLoader: BootLoader
  kernels: Kernel[]
  networkStack: NetworkStack
  /** Files and folders of the agent that are there. */
  agentPaths: string[]
  hasSelinux: boolean
  /** Texts that changes look into: fstab, boot loader configuration, network configuration. */
  files: GuestFile[]
  /** Boot loaders on the EFI system partition, and whether the fallback one is there. */
  efi?: { loaders: string[]; hasFallback: boolean }
}

/** One thing to do to the guest's files. */
export type Operation =
  | { kind: 'write'; path: string; text: string; mode?: number }
  /** Keeps a file beside its old place under the name `to`. */
  | { kind: 'rename'; path: string; to: string }
  | { kind: 'remove'; path: string }
  | { kind: 'copy'; path: string; to: string }
  /** Runs in the guest's own system, inside the appliance. Slow. */
  | { kind: 'run'; command: string }

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
