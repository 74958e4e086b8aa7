/**
 * The disks of an inventory against the disks that are replicated: which are taken, and what no longer fits.
 * @module
 */
import type { DiskUsage, ReplicatedDisk, SourceDisk, SourceServer } from './source_server.ts'
import type { DataReplicationError } from './replication.ts'
import { InvalidInputError } from './errors.ts'
import { usageOfAll } from './source_properties.ts'

/** MGN's cap on the replicated disks of one server; also the width of a disk index on the wire. */
export const maxReplicatedDisks = 60

/**
 * The disks to replicate, in the order of the inventory: those that the agent did not leave out.
 * @throws InvalidInputError when there is none, or more than {@link maxReplicatedDisks}; the message says what was left out and why.
 */
export function chooseDisks(disks: readonly SourceDisk[]): ReplicatedDisk[] {
  const taken = disks.filter((disk) => disk.excludedBecause === undefined)
  if (taken.length === 0) {
    const reasons = disks.map((disk) => `${disk.deviceName}: ${disk.excludedBecause ?? ''}`).join('; ')
    throw new InvalidInputError(
      'sourceProperties.disks',
      `No disk to replicate: ${reasons === '' ? 'the agent found none' : reasons}. Name the disks yourself with --devices`,
    )
  }
  if (taken.length > maxReplicatedDisks) {
    throw new InvalidInputError(
      'sourceProperties.disks',
      `Cannot replicate ${taken.length} disks: at most ${maxReplicatedDisks} per server. Choose them with --devices`,
    )
  }
  const names = new Set<string>()
  for (const { deviceName } of taken) {
    if (names.has(deviceName)) {
      throw new InvalidInputError(
        'sourceProperties.disks',
        `Cannot replicate disk ${deviceName} twice; name it once`,
      )
    }
    names.add(deviceName)
  }
  return taken.map(replicatedDiskOf)
}

/** A disk of the inventory as one that is replicated from now on. */
export function replicatedDiskOf(disk: SourceDisk, diskIndex: number): ReplicatedDisk {
  const { deviceName, stableId, sizeBytes, isBootDisk } = disk
  const nothingYet = { replicatedBytes: 0, rescannedBytes: 0, backlogBytes: 0 }
  return { diskIndex, deviceName, stableId, sizeBytes, isBootDisk, ...nothingYet }
}

/**
 * The disk of the inventory that each of `disks` is a copy of: by its own identity, which outlives a renamed device. Some machines give several
 * disks one serial number; those are told apart by their device names.
 */
export function sourcesOf(
  disks: readonly ReplicatedDisk[],
  inventory: readonly SourceDisk[],
): { disk: ReplicatedDisk; source: SourceDisk | undefined }[] {
  return disks.map((disk) => {
    const candidates = inventory.filter((candidate) => candidate.stableId === disk.stableId)
    const isUnique =
      candidates.length === 1 && disks.every((other) => other === disk || other.stableId !== disk.stableId)
    const source = candidates.find((candidate) => isUnique || candidate.deviceName === disk.deviceName)
    return { disk, source }
  })
}

/** How full the replicated disks of `server` are; undefined where nothing is known. */
export function usageOfCopied({
  disks,
  sourceProperties,
}: Pick<SourceServer, 'disks' | 'sourceProperties'>): DiskUsage | undefined {
  return usageOfAll(sourcesOf(disks, sourceProperties.disks).map(({ source }) => source))
}

/** The replicated disks with the device names that the inventory gives them now. */
export function renameDisks(
  disks: readonly ReplicatedDisk[],
  inventory: readonly SourceDisk[],
): ReplicatedDisk[] {
  return sourcesOf(disks, inventory).map(({ disk, source }) =>
    source === undefined || source.deviceName === disk.deviceName
      ? disk
      : { ...disk, deviceName: source.deviceName },
  )
}

/**
 * Why the source's disks no longer fit their replica, or undefined when they do. While there is a reason nothing is copied: writing on
 * could only spoil the replica.
 */
export function inventoryProblem(
  server: Pick<SourceServer, 'disks' | 'sourceProperties'>,
): DataReplicationError | undefined {
  const again = 'disconnect this server and add it again, so that a new replica is made'
  const copyOf = new Map<SourceDisk, ReplicatedDisk>()
  for (const { disk, source } of sourcesOf(server.disks, server.sourceProperties.disks)) {
    if (source === undefined) {
      return {
        error: 'UNSUPPORTED_VM_CONFIGURATION',
        rawError: `Disk ${disk.deviceName} (${disk.stableId}) has vanished from the source server`,
        whatToDo: `Attach the disk again and restart the agent; if it is gone for good, ${again}`,
      }
    }
    const other = copyOf.get(source)
    if (other !== undefined) {
      return {
        error: 'UNSUPPORTED_VM_CONFIGURATION',
        rawError: `Disks ${other.diskIndex} and ${disk.diskIndex} of this server are both copied from ${source.deviceName} (${disk.stableId})`,
        whatToDo: `One disk of the source has no copy: ${again}`,
      }
    }
    copyOf.set(source, disk)
    // A larger one is no problem: its volume grows with it.
    if (source.sizeBytes < disk.sizeBytes) {
      return {
        error: 'UNSUPPORTED_VM_CONFIGURATION',
        rawError: `Disk ${source.deviceName} (${disk.stableId}) is smaller than before: ${source.sizeBytes} bytes, was ${disk.sizeBytes}`,
        whatToDo: `Check that it is the same disk and restart the agent; if its size was changed on purpose, ${again}`,
      }
    }
  }
  return undefined
}
