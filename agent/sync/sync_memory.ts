/**
 * Which volumes hold a whole first copy, across runs of the agent. It only decides what a comparison is called: a file that cannot be written
 * costs nobody a block.
 * @module
 */
import type { LineLog } from '../log.ts'
import type { DiskSync } from './disk_sync.ts'
import { errorMessage } from '../../domain/errors.ts'

/** Remembers across runs which volumes hold a whole first copy. */
export interface SyncMemory {
  isComplete(volumeId: string): boolean
  setComplete(volumeId: string, isComplete: boolean): Promise<void>
}

/** Remembers that these disks are copied as a whole; what cannot be written down is logged, and compared again after a restart. */
export async function rememberComplete(
  memory: SyncMemory,
  disks: readonly DiskSync[],
  log: LineLog,
): Promise<void> {
  // Held means that file systems are frozen: a write would wait for them.
  if (log.isHeld) return
  for (const disk of disks) {
    if (!disk.isInitialSyncDone || memory.isComplete(disk.volumeId)) continue
    await memory.setComplete(disk.volumeId, true).catch((error: unknown) => {
      log.warning(`Cannot remember that ${disk.deviceName} is copied: ${errorMessage(error)}`)
    })
  }
}

/** Forgets that a disk was copied: its volume is empty. */
export async function forgetComplete(memory: SyncMemory, disk: DiskSync, log: LineLog): Promise<void> {
  if (!memory.isComplete(disk.volumeId)) return
  await memory.setComplete(disk.volumeId, false).catch((error: unknown) => {
    log.warning(`Cannot forget that ${disk.deviceName} was copied: ${errorMessage(error)}`)
  })
}
