/**
 * Tracking without help of the kernel: the disk is read and compared by hashes, pass after pass. Works for every file and device.
 * @module
 */
import type { Drained, Tracker } from './tracker.ts'

/** Knows nothing by itself; asks the engine for passes. The hashes compared with are the replicator's, which cannot be out of date. */
export class ScanTracker implements Tracker {
  readonly kind = 'scan'
  readonly reason: string
  readonly needsPasses = true
  readonly waitingBytes = 0

  constructor(reason: string) {
    this.reason = reason
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  grow(): void {
    // The passes go to the end of the disk, wherever that is.
  }

  drain(): Promise<Drained> {
    return Promise.resolve({ lost: false, changed: [] })
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}
