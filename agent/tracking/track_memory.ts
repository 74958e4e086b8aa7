/**
 * What of a disk's tracking outlives the process: the seam between replication, which knows what is outstanding, and the file that remembers it.
 * @module
 */
import * as z from 'zod'
import type { Extent } from '../../domain/units.ts'

/** A scan under way, as it is remembered. See `Scan` in `sync/disk_sync.ts`. */
const savedScanSchema = z.object({
  mode: z.enum(['BLANK', 'COMPARE']),
  purpose: z.enum(['INITIAL', 'RESCAN', 'PASS']),
  cursor: z.int().min(0),
  attemptedEnd: z.int().min(0),
  isPartial: z.boolean(),
  differences: z.int().min(0),
})

/** How a disk's copy stood. Everything that may differ from the copy is marked, or lies behind the scan's cursor. */
export const savedStateSchema = z.object({
  /** Of the volume: what was acknowledged under this name is there. */
  copyId: z.string(),
  /** The highest rescan that had been begun. */
  rescanEpoch: z.int().min(0),
  isInitialSyncDone: z.boolean(),
  /** Something of it was acknowledged, so that an empty volume is not this copy. */
  hasDurableBlocks: z.boolean(),
  scan: savedScanSchema.optional(),
})
export type SavedState = z.infer<typeof savedStateSchema>

/** What an earlier run of the agent left, with all that has changed since. */
export interface Inherited {
  state: SavedState
  marks: Iterable<Extent>
}

/** The memory of one disk. While events are read it marks by itself; nothing is forgotten but by {@link TrackMemory.save}. */
export interface TrackMemory {
  /** What can be gone on from, until {@link TrackMemory.save} is called; else a reason, as it stands after "because". */
  readonly inherited: Inherited | string
  /**
   * This is how it stands now, and nothing but `outstanding` and what lies behind the cursor may differ from the copy. Called in one breath with
   * finding that out.
   */
  save(state: SavedState, outstanding: Iterable<Extent>): void
  /** Blocks before `end` are about to be sent to a blank volume for the first time. Remembered when it returns. */
  willSend(end: number): void
  /** The volume has grown to `sizeBytes`: changes there are remembered from the moment this returns. To be followed by {@link TrackMemory.save}. */
  grow(sizeBytes: number): void
}

/** Extents of all parts, one part after the other. */
export function* joined(...parts: Iterable<Extent>[]): Generator<Extent> {
  for (const part of parts) yield* part
}
