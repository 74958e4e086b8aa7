/**
 * The seam between replication and a disk: a size, positioned reads, and errors that say what is wrong with the disk.
 * @module
 */

import type { DiskIdentity } from '../inventory/disk_identity.ts'

/** A disk, or a file that holds one, opened for reading only. */
export interface BlockSource {
  /** As the operator knows it: `/dev/sda`. */
  readonly deviceName: string
  /** Which disk was opened, whatever has its name by now. */
  readonly identity: DiskIdentity
  /** Size when it was opened, or last told by {@link BlockSource.growTo}: nothing is read beyond. */
  readonly sizeBytes: number
  /** The open file, which other threads may read too, at positions, until {@link close}; undefined where there is none. */
  readonly fd?: number | undefined
  /**
   * Reads `lengthBytes` at `offsetBytes` into the start of `into`, which comes from an {@link import('./aligned_pool.ts').AlignedPool}: its address is
   * page-aligned and its length a multiple of 4096 that is at least `lengthBytes`. `offsetBytes` is a multiple of 4096.
   *
   * @throws UnreadableSectorError, DiskGoneError
   */
  read(offsetBytes: number, lengthBytes: number, into: Uint8Array): Promise<void>
  /**
   * The size now.
   * @throws DiskGoneError when there is no disk any more, or another one has its name.
   */
  currentSizeBytes(): Promise<number>
  /** The disk is this large by now, and is read up to there. */
  growTo(sizeBytes: number): void
  close(): Promise<void>
}

/** The disk cannot read a sector, tried several times. Nothing stands in for its bytes. */
export class UnreadableSectorError extends Error {
  override name = 'UnreadableSectorError'
  readonly deviceName: string
  readonly offsetBytes: number

  constructor(deviceName: string, offsetBytes: number, options?: ErrorOptions) {
    super(`Cannot read sector ${offsetBytes / 512} of ${deviceName}`, options)
    this.deviceName = deviceName
    this.offsetBytes = offsetBytes
  }
}

/** The system does not let this process read the disk. */
export class DiskRefusedError extends Error {
  override name = 'DiskRefusedError'
  readonly deviceName: string

  constructor(deviceName: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.deviceName = deviceName
  }
}

/** The disk is not there any more, or ends earlier than it did. */
export class DiskGoneError extends Error {
  override name = 'DiskGoneError'
  readonly deviceName: string

  constructor(deviceName: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.deviceName = deviceName
  }
}

/** Under the name of a disk stands another one, or one that nothing tells from another one. */
export class OtherDiskError extends Error {
  override name = 'OtherDiskError'
  readonly deviceName: string
  readonly whatToDo: string

  constructor(deviceName: string, message: string, whatToDo: string) {
    super(message)
    this.deviceName = deviceName
    this.whatToDo = whatToDo
  }
}
