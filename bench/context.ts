/**
 * What every row works with.
 * @module
 */
import type { Parts } from './parts.ts'
import type { Profiler } from './profiler.ts'

/** Where and how often to measure. */
export interface BenchContext {
  /** The project's folder. */
  root: string
  /** This row's own, in memory: a file system that no disk slows down. What a row leaves in it is removed. */
  folder: string
  /** Measurements of each figure; the middle one counts. */
  runs: number
  /** Size of the disk with random data. */
  sizeBytes: number
  /** Seconds of load, for rows that load. */
  loadSeconds: number
  /** Why there is no Debian disk; undefined when there is one. */
  guestRefusal: string | undefined
  /** What the parts of the path can do by themselves, measured in this run. */
  parts: Parts
  /** Looks where the processor time goes. */
  profiler: Profiler
  say(line: string): void
}
