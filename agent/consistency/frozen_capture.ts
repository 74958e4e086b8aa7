/**
 * Reads what is dirty into memory while nothing changes.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { DiskSync } from '../sync/disk_sync.ts'
import type { Reader } from '../sync/reader.ts'
import type { SentExtent } from '../sync/connection.ts'
import { blockSizeBytes } from '../../domain/units.ts'

/** Bytes held in memory at most. More is not read: the file systems are thawed and the copy goes on converging. */
export const maxCaptureBytes = 64 * 1024 * 1024

/** Looks at the trackers before a disk counts as restless although its file systems are frozen. */
const maxRounds = 8

/** Wait between two looks: a completed request is in the trace at once, but one may still be under way in the disk. */
const settleMs = 5

/** An extent held in memory. */
export interface CapturedExtent extends SentExtent {
  bytes: Uint8Array
}

/** Extents in memory, or why there are none. */
export type Capture = { extents: CapturedExtent[] } | { reason: string }

/** What the capture works with. */
export interface CaptureContext {
  disks: readonly DiskSync[]
  reader: Reader
  clock: Clock
  /** Asks the trackers, with every check of lost events, and marks what changed. False when certainty was lost. */
  drain(): Promise<boolean>
}

/** Bytes marked on all disks. */
function dirtyBytes(disks: readonly DiskSync[]): number {
  return disks.reduce((sum, disk) => sum + disk.dirty.count * blockSizeBytes, 0)
}

/** Marks everything captured as dirty again: it was not sent. */
export function giveBack(disks: readonly DiskSync[], extents: readonly SentExtent[]): void {
  for (const extent of extents) {
    disks
      .find((disk) => disk.diskIndex === extent.diskIndex)
      ?.dirty.mark(extent.firstBlock, extent.blockCount)
  }
}

/**
 * Reads every dirty block, looks again, reads what became dirty meanwhile, until a look finds nothing. The marks of what is held are cleared; if it
 * is not sent after all, {@link giveBack} sets them again. Writes nothing and logs nothing.
 */
export async function captureDirty(context: CaptureContext): Promise<Capture> {
  const { disks, reader, clock } = context
  const held = new Map<string, CapturedExtent>()
  let heldBytes = 0
  const refuse = (reason: string): Capture => {
    giveBack(disks, [...held.values()])
    return { reason }
  }
  for (let round = 1; round <= maxRounds; round++) {
    if (!(await context.drain())) return refuse('changes were lost while the file systems were frozen')
    const bytes = dirtyBytes(disks)
    if (bytes === 0 && round > 1) return { extents: [...held.values()] }
    if (heldBytes + bytes > maxCaptureBytes) {
      return refuse(
        `${Math.ceil((heldBytes + bytes) / 1e6)} MB had changed at the moment of the freeze; at most ${Math.floor(maxCaptureBytes / 1e6)} MB fit`,
      )
    }
    for (const disk of disks) {
      for (const extent of disk.dirty.extents(0, 1)) {
        await reader.withExtent(disk, extent, (own, read) => {
          const key = `${disk.diskIndex}/${own.firstBlock}`
          heldBytes += held.has(key) ? 0 : read.length
          // The pool's memory is used again: what is kept is copied.
          held.set(key, { diskIndex: disk.diskIndex, ...own, bytes: Uint8Array.from(read) })
          return Promise.resolve()
        })
      }
      if (disk.unreadableCount > 0) return refuse(`a sector of ${disk.deviceName} cannot be read`)
    }
    await clock.sleep(settleMs)
  }
  return refuse(
    `${disks.length} disks still changed after ${maxRounds} looks although their file systems were frozen`,
  )
}
