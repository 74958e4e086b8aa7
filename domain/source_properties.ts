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
  /** Absent where nothing is known of it. */
  usage?: DiskUsage
}

/** How full a disk is, by the file systems on it that are mounted; of the rest of the disk nothing is known. */
export interface DiskUsage {
  /** Held by files and by the file systems themselves. What was freed and not overwritten with zeros is not in it, and is copied all the same. */
  usedBytes: number
  /** Of these file systems. */
  fileSystemBytes: number
}

/** How full `disks` are, taken together; undefined where nothing is known of any. */
export function usageOfAll(disks: readonly (SourceDisk | undefined)[]): DiskUsage | undefined {
  const known = disks.flatMap((disk) => disk?.usage ?? [])
  if (known.length === 0) return undefined
  return {
    usedBytes: known.reduce((sum, { usedBytes }) => sum + usedBytes, 0),
    fileSystemBytes: known.reduce((sum, { fileSystemBytes }) => sum + fileSystemBytes, 0),
  }
}
