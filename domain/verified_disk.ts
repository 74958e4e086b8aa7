/**
 * What is kept of a verification: of each disk, and its verdict.
 * @module
 */

/**
 * IDENTICAL: every block is the same at both ends. REPAIRED: some were not, were sent again and are now. DIFFERENT: some still are not.
 * INCOMPLETE: nothing can be said of some.
 */
export type VerificationVerdict = 'IDENTICAL' | 'REPAIRED' | 'DIFFERENT' | 'INCOMPLETE'

/** A disk in a verification. */
export interface VerifiedDisk {
  diskIndex: number
  checkedBytes: number
  /** Blocks of 64 KiB of the copy that were not what the source is; those that are damaged count here too. */
  differingBlocks: number
  /** Blocks whose data on the staging disk were not what had been written there. */
  damagedBlocks: number
  /** Of the differing ones: sent again, and found right. */
  repairedBlocks: number
  /** Blocks that the source disk cannot give. */
  unreadableBlocks: number
  /** Where the copy differed, the first places. */
  differences: { offsetBytes: number; lengthBytes: number }[]
  /** BLAKE3 over what was compared, computed at the source and at the copy; once the disk is done. */
  sourceRoot?: string | undefined
  replicaRoot?: string | undefined
  durationMs: number
}

/** The last verification, over or not. */
export interface Verification {
  verifyEpoch: number
  askedAt: string
  askedBy: string
  endedAt?: string
  verdict?: VerificationVerdict
  disks: VerifiedDisk[]
}
