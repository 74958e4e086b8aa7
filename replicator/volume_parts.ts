/**
 * What a volume is made of, handed in by whoever opens it.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import type { WireError } from '../wire/wire_error.ts'
import type { DocumentStore, VolumeCheckpoint } from './checkpoint.ts'
import type { Disk } from './disk.ts'

/** Where a volume's bytes and state are. */
export interface VolumeParts {
  data: Disk
  /** Tells this data from other data that takes its place later; undefined where nothing does. */
  identity: string | undefined
  /** Whether it is certain without reading that every byte of the data is zero. Asked after a flush. */
  isDataZero: () => Promise<boolean>
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
  /** The run of the agent that it is opened for has been served before, and counts on what was acknowledged to it. Default: no. */
  isSameRun?: boolean
  /** A flush of it failed before in this process, so that what reads back proves nothing. Default: no. */
  isSuspect?: boolean
  /** Makes a name that no other copy has. Default: a random one. */
  newCopyId?: () => string
  /** Default: 1024, which is 64 MiB. */
  segmentBlocks?: number
  /** Told once, when the volume stops being usable; close it and open it anew. */
  onBroken?: (error: WireError) => void
  /** Told once of blocks that were found damaged. */
  onDamaged?: (found: readonly Extent[]) => void
  /** Told when a flush failed: the next opening must be told `isSuspect`. */
  onSuspect?: () => void
}
