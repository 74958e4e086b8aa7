/**
 * What a volume is made of, handed in by whoever opens it.
 * @module
 */
import type { WireError } from '../wire/wire_error.ts'
import type { DocumentStore, VolumeCheckpoint } from './checkpoint.ts'
import type { Disk } from './disk.ts'

/** Where a volume's bytes and state are. */
export interface VolumeParts {
  data: Disk
  /** Certain without reading: every byte of the data is zero. */
  isDataZero: boolean
  /** Opens the index file at `sizeBytes`, made or lengthened with zeros; `isFresh` drops what was in it. */
  openIndex: (sizeBytes: number, isFresh: boolean) => Promise<{ disk: Disk; bytesBefore: number }>
  checkpoint: DocumentStore<VolumeCheckpoint>
}

/** How to open a volume. */
export interface VolumeOptions {
  volumeId: string
  diskIndex: number
  /** Size of the source disk; the volume may be larger. */
  sizeBytes: number
  parts: VolumeParts
  /** A flush of it failed before in this process. Default: no. */
  isSuspect?: boolean
  /** Default: 1024, which is 64 MiB. */
  segmentBlocks?: number
  /** Told once, when the volume stops being usable; close it and open it anew. */
  onBroken?: (error: WireError) => void
}
