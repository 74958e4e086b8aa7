/**
 * What the agent saw of the machine it runs on.
 * @module
 */

/** What the agent saw of the machine it runs on. */
export interface SourceProperties {
  lastUpdatedAt: string
  identificationHints: {
    hostname: string
    fqdn: string
    vmWareUuid?: string
    awsInstanceId?: string
    machineId?: string
  }
  os: { fullString: string; family: 'linux' | 'windows' | 'unknown' }
  cpus: { cores: number; modelName: string }[]
  ramBytes: number
  firmware: 'BIOS' | 'UEFI' | 'UNKNOWN'
  networkInterfaces: { name: string; macAddress: string; ips: string[]; isPrimary: boolean }[]
  disks: SourceDisk[]
  /** Written to the disks that are replicated since the machine was started; absent where its kernel does not tell. */
  writes?: { seconds: number; bytes: number }
}

/** A disk of the source, taken or left out; `excludedBecause` is a sentence for the operator. */
export interface SourceDisk {
  deviceName: string
  sizeBytes: number
  /** Serial number, WWN or the like where the disk has one; falls back to the device name. Some machines give several disks the same one. */
  stableId: string
  /**
   * Names the time for which the machine has had the disk: another one after the disk was detached and attached, after another disk took its
   * place, and after the machine was started. Its boot, `/`, and the kernel's count. Absent for files, and where the kernel does not say.
   */
  attachmentId?: string
  isBootDisk: boolean
  excludedBecause?: string
}
