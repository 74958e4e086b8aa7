/**
 * Reads what is dirty into memory while nothing changes.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { DiskSync } from '../sync/disk_sync.ts'
import type { Reader } from '../sync/reader.ts'
import { pieceBatches } from '../sync/piece_batches.ts'
import { HeldBlocks } from './held_blocks.ts'

/** Bytes held in memory at most. More is not read: the file systems are thawed and the copy goes on converging. */
export const maxCaptureBytes = 64 * 1024 * 1024

/** Looks at the trackers before a disk counts as restless although its file systems are frozen. */
const maxRounds = 8

/** Wait between two looks: a completed request is in the trace at once, but one may still be under way in the disk. */
const settleMs = 5

/** What is held in memory, or why nothing is. */
export type Capture = { held: HeldBlocks } | { reason: string }

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
  return disks.reduce((sum, disk) => sum + disk.dirty.bytes, 0)
}

/**
 * Reads every dirty block, looks again, reads what became dirty meanwhile, until a look finds nothing. The marks of what is held are cleared; if it
 * is not sent after all, {@link HeldBlocks.giveBack} sets them again. Writes nothing and logs nothing.
 *
 * @throws whatever reading or asking the trackers throws; every mark is set again then.
 */
export async function captureDirty(context: CaptureContext): Promise<Capture> {
  const held = new HeldBlocks()
  let capture: Capture | undefined
  try {
    capture = await captureInto(held, context)
    return capture
  } finally {
    if (capture === undefined || 'reason' in capture) held.giveBack(context.disks)
  }
}

async function captureInto(held: HeldBlocks, context: CaptureContext): Promise<Capture> {
  const { disks, clock } = context
  for (let round = 1; round <= maxRounds; round++) {
    if (!(await context.drain())) return { reason: 'changes were lost while the file systems were frozen' }
    const bytes = dirtyBytes(disks)
    if (bytes === 0 && round > 1) return { held }
    if (held.bytes + bytes > maxCaptureBytes) {
      return {
        reason: `${Math.ceil((held.bytes + bytes) / 1e6)} MB had changed at the moment of the freeze; at most ${Math.floor(maxCaptureBytes / 1e6)} MB fit`,
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

/** Reads what is dirty of one disk. What is read again takes the place of what was read before. */
async function hold(held: HeldBlocks, disk: DiskSync, reader: Reader): Promise<void> {
  const { diskIndex, dirty } = disk
  const batches = pieceBatches(
    dirty.piecedBlocks(),
    (block) => dirty.piecesOf(block),
    () => 0,
  )
  for (const batch of batches) {
    await reader.withPieces(disk, batch, (pieces, read) => {
      held.addPieces(diskIndex, pieces, read)
      return Promise.resolve()
    })
  }
  for (const extent of dirty.extents(0, 1)) {
    await reader.withExtent(disk, extent, (own, read) => {
      held.addBlock(diskIndex, own.firstBlock, read)
      return Promise.resolve()
    })
  }
}
