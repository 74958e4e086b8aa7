/**
 * A walk over all blocks of a disk: how far it has come.
 * @module
 */

/**
 * A walk over all blocks. BLANK: the volume is empty, so everything that is not zero is sent. COMPARE: hashes are compared and what differs
 * becomes dirty. INITIAL is the first copy, RESCAN follows a loss of certainty, PASS is how a disk is watched that no tracker sees.
 */
export interface Scan {
  mode: 'BLANK' | 'COMPARE'
  purpose: 'INITIAL' | 'RESCAN' | 'PASS'
  /** Blocks before it are dealt with: sent, dirty, or known to be the same. */
  cursor: number
  /** Blocks from here on were never sent. A step that a broken session cut short lies before it: the volume may hold parts of that. */
  attemptedEnd: number
  /** Only what a disk has grown by: of the rest it says nothing. */
  isPartial?: boolean
  /** Monotonic time; every block is read after it. */
  startedAtMs: number
  /** Time spent on it, in steps: neither without a connection nor behind other work. */
  walkedMs: number
  /** Blocks found to differ. */
  differences: number
}

/** A scan that has ended. */
export interface FinishedScan {
  purpose: Scan['purpose']
  walkedMs: number
  startedAtMs: number
  endedAtMs: number
  differences: number
}
