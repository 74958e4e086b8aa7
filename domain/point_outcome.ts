/**
 * What became of consistency points: as the agent tells it, and as it is kept.
 * @module
 */

/** One attempt at a point that has ended, as the agent tells it. */
export interface PointOutcome {
  /** Counts the outcomes of one run of the agent from 1, so that one that is told twice counts once. */
  sequence: number
  consistencyPointId: string
  /** Milliseconds before the report; the two clocks may differ. */
  agoMs: number
  /** By its policy, not for a launch. */
  isScheduled: boolean
  /** Absent when it was not reached. */
  method?: 'FROZEN' | 'QUIET' | undefined
  /** Why it was not reached, in a sentence. */
  failure?: string | undefined
  /** How often file systems were frozen on the way, and the longest time of these. */
  freezes: number
  longestFreezeMs: number
  /** From the first pre-freeze hook to the last post-thaw hook, the longest time; 0 without hooks. */
  longestHoldMs: number
  /** What the hooks came to. */
  hooks: 'NONE' | 'RUN' | 'FAILED' | 'NOT_RUN'
  /** What failed of the hooks, in a sentence. */
  hookFailure?: string | undefined
}

/** Points of one hour. */
export interface HourOfPoints {
  /** Its beginning. */
  at: string
  reached: number
  failed: number
  freezes: number
  longestFreezeMs: number
  longestHoldMs: number
}

/** What is kept. */
export interface PointFigures {
  /** The last outcome that was counted. */
  counted: { generation: number; sequence: number }
  last: Omit<PointOutcome, 'sequence' | 'agoMs'> & { at: string }
  /** The last that was reached. */
  reachedAt?: string
  /** The last time at which writers were held, and for how long. */
  held?: { at: string; freezeMs: number; holdMs: number }
  /** Why the last that was not reached was not. */
  failure?: { at: string; reason: string }
  /** Hours of the last day that had points, latest first. */
  hours: HourOfPoints[]
}
