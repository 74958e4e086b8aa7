/**
 * What every row works with.
 * @module
 */
import type { Parts } from './parts.ts'

/** Where and how often to measure. */
export interface BenchContext {
  /** The project's folder. */
  root: string
  /** In memory: a file system that no disk slows down. */
  folder: string
  /** Measurements of each figure; the middle one counts. */
  runs: number
  /** Size of the disk with random data. */
  sizeBytes: number
  /** Seconds of load, for rows that load. */
  loadSeconds: number
  /** What the parts of the path can do by themselves, measured in this run. */
  parts: Parts
  say(line: string): void
}
