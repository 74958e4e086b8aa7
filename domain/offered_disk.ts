/**
 * A disk that has appeared on a source server after its replication began.
 * @module
 */

/** A disk of the source that has no copy, and that the agent could replicate. */
export interface OfferedDisk {
  deviceName: string
  stableId: string
  sizeBytes: number
  noticedAt: string
  /** Who said that it is not to be replicated. */
  refusedBy?: string
}
