/**
 * The seam between replication and what knows of changes on a disk.
 * @module
 */
import type { Change } from '../sync/change_map.ts'
import type { TrackMemory } from './track_memory.ts'

/** What changed since the last time somebody asked; or that it is not known any more, and why. */
export type Drained = { lost: false; changed: Change[] } | { lost: true; reason: string }

/**
 * Watches one disk. The order that makes it correct: {@link Tracker.start} returns, then the first block is read. A change that completed
 * before a call of {@link Tracker.drain} is in that call's answer or in an earlier one, or `lost` is.
 */
export interface Tracker {
  /** `tracefs` or `scan`; shown to the operator. */
  readonly kind: string
  /** Why this kind was chosen: a sentence for the operator. */
  readonly reason: string
  /** It sees no changes of its own: only reading and comparing the whole disk again and again finds them. */
  readonly needsPasses: boolean
  /** Bytes known to have changed and not asked for yet. */
  readonly waitingBytes: number
  /** What outlives the process; undefined where nothing does, and before {@link Tracker.start}. */
  readonly memory?: TrackMemory | undefined
  start(): Promise<void>
  /** The disk has grown to `sizeBytes`: changes there count from the moment this returns. */
  grow(sizeBytes: number): void
  /**
   * Changes since the last call. After `lost` everything before that call is unknown and must be compared; tracking goes on from there.
   * `isStrict` makes every check of lost events now, before anything is claimed of the disk; else some run once a second.
   */
  drain(isStrict?: boolean): Promise<Drained>
  stop(): Promise<void>
}
