/**
 * A disk in memory whose reads a test can make fail.
 * @module
 */
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import type { DiskIdentity } from '../../../agent/inventory/disk_identity.ts'
import type { Tracker } from '../../../agent/tracking/tracker.ts'
import { DiskSync } from '../../../agent/sync/disk_sync.ts'
import { blockSizeBytes } from '../../../domain/units.ts'

/** A tracker that sees nothing of its own. */
export const stillTracker: Tracker = {
  kind: 'tracefs',
  reason: 'Nothing ever changes',
  needsPasses: false,
  waitingBytes: 0,
  start: () => Promise.resolve(),
  grow: () => undefined,
  drain: () => Promise.resolve({ lost: false, changed: [] }),
  stop: () => Promise.resolve(),
}

/** The bytes of a disk, and what reading them throws. */
export class MemorySource implements BlockSource {
  readonly deviceName: string
  identity: DiskIdentity
  bytes: Uint8Array
  /** Asked with the byte offset before every read; what it returns is thrown. */
  failure: (offsetBytes: number) => Error | undefined = () => undefined

  constructor(deviceName: string, bytes: Uint8Array) {
    this.deviceName = deviceName
    this.identity = { stableId: deviceName }
    this.bytes = bytes
  }

  get sizeBytes(): number {
    return this.bytes.length
  }

  read(offsetBytes: number, lengthBytes: number, into: Uint8Array): Promise<void> {
    for (let offset = offsetBytes; offset < offsetBytes + lengthBytes; offset += blockSizeBytes) {
      const error = this.failure(offset)
      if (error !== undefined) return Promise.reject(error)
    }
    into.set(this.bytes.subarray(offsetBytes, offsetBytes + lengthBytes))
    return Promise.resolve()
  }

  currentSizeBytes(): Promise<number> {
    return Promise.resolve(this.sizeBytes)
  }

  /** What it has grown by is zero. */
  growTo(sizeBytes: number): void {
    const bytes = new Uint8Array(Math.max(sizeBytes, this.bytes.length))
    bytes.set(this.bytes)
    this.bytes = bytes
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A disk of `blocks` blocks, each filled with its number, as the engine knows it. */
export function memoryDisk(diskIndex: number, blocks: number): { disk: DiskSync; source: MemorySource } {
  const bytes = new Uint8Array(blocks * blockSizeBytes)
  for (let block = 0; block < blocks; block++)
    bytes.fill(1 + (block % 255), block * blockSizeBytes, (block + 1) * blockSizeBytes)
  const source = new MemorySource(`/dev/disk${diskIndex}`, bytes)
  const volumeId = `vol-${diskIndex}`
  const disk = new DiskSync({ diskIndex, volumeId, sizeBytes: bytes.length, source, tracker: stillTracker })
  return { disk, source }
}
