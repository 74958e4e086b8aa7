/**
 * The seam between tracking and what carries it through a reboot: what the boot before has sealed, and what the kernel traced since it started.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { MarkedDisk } from './mark_file.ts'
import type { TracedDevice } from './trace.ts'
import type { TraceHandler } from './trace_parser.ts'
import type { SavedState } from './track_memory.ts'

/** A disk as the boot before left it. */
export interface ClaimedDisk {
  device: TracedDevice
  disk: MarkedDisk
  state: SavedState
  /** What may differ from the copy, and what the boot loader may have written since. */
  marks: Iterable<Extent>
}

/** What carries tracking through a reboot. */
export interface BootTracking {
  /** Disks to go on with; else the reason why there are none, as it stands after "because". What was sealed is used up by the call. */
  claim(): Promise<readonly ClaimedDisk[] | string>
  /**
   * Tells `handler` every change that the kernel traced since it started, and ends that trace. Called while another trace of `devices` is on.
   * Answers why something may be missing, as it stands after "because"; undefined when nothing is.
   */
  read(devices: readonly TracedDevice[], handler: TraceHandler): Promise<string | undefined>
}
