/**
 * Lets a new run of the agent go on where the one before was: what is outstanding is written down from time to time, and believed again only when
 * nothing can have been missed.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { SavedState } from '../tracking/track_memory.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Note } from './note_box.ts'
import type { SentExtent } from './outstanding.ts'

/** What a new run is told of a disk's copy. */
export interface CopyNow {
  contents: 'EMPTY' | 'PARTIAL'
  copyId: string | undefined
  /** The highest rescan that was asked for. */
  rescanEpoch: number
  nowMs: number
}

/** Why what was left is not about this copy; undefined when it is. */
function refusalOf(state: SavedState, { contents, copyId, rescanEpoch }: CopyNow): string | undefined {
  if (state.copyId !== copyId || (contents === 'EMPTY' && state.hasDurableBlocks))
    return 'its copy is another one than the run before left'
  if (state.rescanEpoch < rescanEpoch) return 'the operator asked for a rescan'
  return undefined
}

/**
 * Goes on with a disk from what the run before has left, and says so; false when it must be looked at from its begin, with the reason told if its
 * copy holds anything.
 */
export function resumeTracking(
  disk: DiskSync,
  copy: CopyNow,
  note: (level: Note['level'], message: string) => void,
): boolean {
  const inherited = disk.tracker.memory?.inherited
  if (inherited === undefined) return false
  const refusal = typeof inherited === 'string' ? inherited : refusalOf(inherited.state, copy)
  if (typeof inherited === 'string' || refusal !== undefined) {
    if (copy.contents === 'PARTIAL')
      note('INFO', `Disk ${disk.deviceName} is compared with its copy, because ${refusal}`)
    return false
  }
  disk.copyId = copy.copyId
  disk.hasDurableBlocks = copy.contents === 'PARTIAL'
  disk.resume(inherited.state, inherited.marks, copy.nowMs)
  const scanned = disk.scan === undefined ? '' : `, ${Math.floor(disk.scannedBytes / 1e6)} MB into its scan`
  note(
    'INFO',
    `Disk ${disk.deviceName} goes on where the run before was${scanned}; ${Math.ceil(disk.dirty.bytes / 1e6)} MB have changed since`,
  )
  return true
}

/**
 * Writes down how the disks stand. Only while nothing is in hand: between two turns of a session, or without one.
 * @param onTheWay sent and not acknowledged.
 */
export function rememberTracking(
  disks: readonly DiskSync[],
  onTheWay: readonly SentExtent[],
  rescanEpoch: number,
): void {
  for (const disk of disks) {
    const { memory } = disk.tracker
    const state = disk.savedState(rescanEpoch)
    if (memory === undefined || state === undefined || disk.bytesInHand > 0) continue
    memory.save(state, outstandingOf(disk, onTheWay))
  }
}

function* outstandingOf(disk: DiskSync, onTheWay: readonly SentExtent[]): Generator<Extent> {
  yield* disk.outstanding()
  for (const extent of onTheWay) if (extent.diskIndex === disk.diskIndex) yield extent
}
