/**
 * Forecasts as they are kept: made when the work that they are of begins, in the same write, and never again, so that what came of it can be held
 * against what was said before.
 * @module
 */
import type { JobId } from './ids.ts'

/** A span of time with how sure it is. Minutes, with a tenth where there are few. */
export interface MinutesAhead {
  expectedMinutes: number
  lowMinutes: number
  /** Absent where the slow end is that it never ends. */
  highMinutes?: number
  /** Of a hundred such forecasts so many are meant to hold. */
  coveragePercent: number
}

interface Kept {
  madeAt: string
  /** Records that it was made from. */
  records: number
}

/** A time that was said of a first copy when its first byte arrived. */
export interface KeptCopyTime extends MinutesAhead, Kept {
  never?: never
}

/** That it never ends, said at that moment, and why. */
export interface KeptNever extends Kept {
  never: { because: string }
}

/** What was said of a first copy when its first byte arrived. */
export type KeptCopyForecast = KeptCopyTime | KeptNever

/** How long a launch took that went well. */
export interface LaunchTime {
  jobId: JobId
  askedAt: string
  /** Of the consistency point: the machine is the source of that moment. */
  pointAt: string
  /** The machine had passed its check. */
  upAt: string
}

/** The downtime that was expected of a cutover when it was asked for. Seconds, from its consistency point on. */
export interface KeptDowntimeForecast {
  jobId: JobId
  madeAt: string
  expectedSeconds: number
  lowSeconds: number
  highSeconds: number
  coveragePercent: number
}

/** A server's launches: the last of each kind that went well, and what was expected of the last cutover. */
export interface LaunchTimes {
  test?: LaunchTime
  cutover?: LaunchTime
  forecast?: KeptDowntimeForecast
}
