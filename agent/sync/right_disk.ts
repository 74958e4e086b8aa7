/**
 * Whether a disk that was opened by its name is the one that is meant, and all of it.
 * @module
 */
import type { AgentDesired } from '../../wire/control_api.ts'
import type { BlockSource } from '../disk/block_source.ts'
import type { DiskIdentity } from '../inventory/disk_identity.ts'
import { DiskGoneError, OtherDiskError } from '../disk/block_source.ts'

/** What the gateway says of the disk that a volume is a copy of. */
type MeantDisk = Omit<AgentDesired['disks'][number], 'volumeId'>

/**
 * Why `opened` is not the disk that `want` means, or can't be known to be; undefined when it is. By what names the disk for good; where that does
 * not tell it from every other, the gateway also names the time for which it was attached.
 */
export function otherDisk(want: MeantDisk, opened: DiskIdentity): OtherDiskError | undefined {
  const { deviceName, stableId, attachmentId } = want
  const kept = 'Its copy stays as it is'
  if (opened.stableId !== stableId) {
    return new OtherDiskError(
      deviceName,
      `Disk ${deviceName} (${opened.stableId}) is not the one that was copied (${stableId}). ${kept}`,
      'Attach the disk that was copied again; if it is gone for good, disconnect the server and add it again, which makes new copies',
    )
  }
  if (attachmentId === undefined || opened.attachmentId === attachmentId) return undefined
  return new OtherDiskError(
    deviceName,
    `Disk ${deviceName} was detached, and nothing tells whether what has its name now is the same disk: it has no serial number of its own. ${kept}`,
    'If it is the same disk, press Rescan disks on the server page: the copy is made equal to what is there now. If it is another one, disconnect the server and add it again',
  )
}

/** @throws OtherDiskError, DiskGoneError when what was opened is not the disk, or not all of it. */
export function requireRight(want: MeantDisk, source: BlockSource): void {
  const other = otherDisk(want, source.identity)
  if (other !== undefined) throw other
  if (source.sizeBytes < want.sizeBytes) throw shrunk(want.deviceName, want.sizeBytes, source.sizeBytes)
}

/** A disk that has become smaller, in a sentence. */
export function shrunk(deviceName: string, wasBytes: number, isBytes: number): DiskGoneError {
  return new DiskGoneError(
    deviceName,
    `Disk ${deviceName} has ${isBytes} bytes, ${wasBytes - isBytes} fewer than when it was added (${wasBytes}); ` +
      'disconnect the server and add it again, so that it is copied at its new size',
  )
}

/** One device copied to two volumes means that another disk has no copy. */
export function requireDistinct(desired: readonly MeantDisk[]): void {
  const indexes = new Map<string, number>()
  for (const { deviceName, stableId, diskIndex } of desired) {
    // A new disk may have the name of one that is gone: only the one that is there is opened.
    const key = JSON.stringify([deviceName, stableId])
    const other = indexes.get(key)
    if (other !== undefined) {
      throw new Error(
        `Cannot copy ${deviceName} as disk ${other} and as disk ${diskIndex}; disconnect the server and add it again`,
      )
    }
    indexes.set(key, diskIndex)
  }
}
