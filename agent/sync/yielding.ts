/**
 * Gives way to whoever works on the source: while its disks are busy, copies and comparisons read only part of the time. What changes is followed all
 * the same, or the replica would fall behind for good.
 *
 * ```
 * all of the time ──▶ half ──▶ a quarter ──▶ an eighth     one step each second in which writes take long
 *                 ◀──      ◀──           ◀──               one step for every five seconds in which they do not
 * ```
 * @module
 */
import type { SlowestWrites } from '../disk/disk_load.ts'
import type { Clock } from '../clock.ts'

/** Writes that take longer are somebody's trouble; below the other they are not. In between nothing changes. */
export const writeLimitsMs = { busy: 20, calm: 10 } as const

/** The copy always goes on. */
const leastShare = 1 / 8

/** Seconds without trouble for each step back to full speed. */
const calmSeconds = 5

/** After a long step nobody waits longer than this. */
const longestPauseMs = 2000

/** The share of the time in which is read. */
export interface ReadingShare {
  share: number
  calmSeconds: number
}

/** Nothing is held back. */
export const fullSpeed: ReadingShare = { share: 1, calmSeconds: 0 }

/** The share after another second in which a write took `writeMs`; undefined for hardly any writes. Pure. */
export function nextShare(
  { share, calmSeconds: calm }: ReadingShare,
  writeMs: number | undefined,
): ReadingShare {
  if (writeMs !== undefined && writeMs > writeLimitsMs.busy)
    return { share: Math.max(leastShare, share / 2), calmSeconds: 0 }
  if (writeMs !== undefined && writeMs > writeLimitsMs.calm) return { share, calmSeconds: 0 }
  if (calm + 1 < calmSeconds) return { share, calmSeconds: calm + 1 }
  return { share: Math.min(1, share * 2), calmSeconds: 0 }
}

/** Holds the scans back. */
export class Yielding {
  readonly #clock: Clock
  #state = fullSpeed
  #slowest: SlowestWrites | undefined
  #nextAtMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What was seen in the last second; undefined for hardly any writes. */
  see(slowest: SlowestWrites | undefined): void {
    if (slowest !== undefined && slowest.writeMs > writeLimitsMs.busy) this.#slowest = slowest
    this.#state = nextShare(this.#state, slowest?.writeMs)
  }

  /** Nobody is to be given way to. */
  stop(): void {
    this.#state = fullSpeed
    this.#nextAtMs = 0
  }

  /** Whether a scan may go on now. */
  get mayRead(): boolean {
    return this.#clock.monotonicMs() >= this.#nextAtMs
  }

  /** A step has read for so long: the pause after it makes it its share of the time. */
  hasRead(ms: number): void {
    const pauseMs = Math.min(longestPauseMs, ms * (1 / this.#state.share - 1))
    this.#nextAtMs = this.#clock.monotonicMs() + pauseMs
  }

  /** For the operator, while something is held back. */
  get because(): string | undefined {
    const { share } = this.#state
    if (share === 1 || this.#slowest === undefined) return undefined
    const { deviceName, writeMs } = this.#slowest
    return (
      `Writes to ${deviceName} took ${Math.round(writeMs)} ms each; copies and comparisons read for 1/${1 / share} of ` +
      `the time until they take less than ${writeLimitsMs.calm} ms`
    )
  }
}
