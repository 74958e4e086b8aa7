/**
 * Tells the operator of damaged blocks, each place once when it is found: in an event, and in the log.
 * @module
 */
import type { Logger } from 'pino'
import type { Extent } from '../domain/units.ts'
import { extentBytes } from '../domain/units.ts'
import type { ServerNotes } from './server_notes.ts'

/** The volume that blocks are damaged of. */
export interface DamagedVolume {
  volumeId: string
  diskIndex: number
  /** Of the source disk. */
  sizeBytes: number
}

/** Adds what was `found` damaged to `notes`. */
export function noteDamage(
  { volumeId, diskIndex, sizeBytes }: DamagedVolume,
  found: readonly Extent[],
  { notes, log }: { notes: ServerNotes; log: Logger },
): void {
  for (const extent of found) {
    const { offsetBytes, lengthBytes } = extentBytes(extent, sizeBytes)
    const message =
      `The copy of disk ${diskIndex} (volume ${volumeId}) is damaged on the staging disk at byte ${offsetBytes} ` +
      `(${lengthBytes} bytes): it cannot be read, or is not what was written there. The agent sends it again; check the staging disk`
    notes.add('ERROR', message)
    log.error({ volumeId, offsetBytes, lengthBytes }, message)
  }
}
