/**
 * Reads what is dirty into memory while nothing changes.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { DiskSync } from '../sync/disk_sync.ts'
import type { Reader } from '../sync/reader.ts'
import type { SentExtent } from '../sync/outstanding.ts'
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
 *
 * @throws whatever reading or asking the trackers throws; every mark is set again then.
 */
export async function captureDirty(context: CaptureContext): Promise<Capture> {
  const held = new Map<string, CapturedExtent>()
  let capture: Capture | undefined
  try {
    capture = await captureInto(held, context)
    return capture
  } finally {
    if (capture === undefined || 'reason' in capture) giveBack(context.disks, [...held.values()])
  }
}

async function captureInto(held: Map<string, CapturedExtent>, context: CaptureContext): Promise<Capture> {
  const { disks, clock } = context
  for (let round = 1; round <= maxRounds; round++) {
    if (!(await context.drain())) return { reason: 'changes were lost while the file systems were frozen' }
    const bytes = dirtyBytes(disks)
    if (bytes === 0 && round > 1) return { extents: [...held.values()] }
    const heldBytes = [...held.values()].reduce((sum, extent) => sum + extent.bytes.length, 0)
    if (heldBytes + bytes > maxCaptureBytes) {
      return {
        reason: `${Math.ceil((heldBytes + bytes) / 1e6)} MB had changed at the moment of the freeze; at most ${Math.floor(maxCaptureBytes / 1e6)} MB fit`,
      }
    }
    for (const disk of disks) {
      await hold(held, disk, context.reader)
      if (disk.unreadableCount > 0) return { reason: `a sector of ${disk.deviceName} cannot be read` }
    }
    await clock.sleep(settleMs)
  }
  return {
    reason: `${disks.length} disks still changed after ${maxRounds} looks although their file systems were frozen`,
  }
}

/** Reads what is dirty of one disk. A block read again takes the place of what was read of it before. */
async function hold(held: Map<string, CapturedExtent>, disk: DiskSync, reader: Reader): Promise<void> {
  for (const extent of disk.dirty.extents(0, 1)) {
    await reader.withExtent(disk, extent, (own, read) => {
      // The pool's memory is used again: what is kept is copied.
      held.set(`${disk.diskIndex}/${own.firstBlock}`, {
        diskIndex: disk.diskIndex,
        ...own,
        bytes: Uint8Array.from(read),
      })
      return Promise.resolve()
    })
  }
}
