/**
 * Gives way to whoever works on the source: while its disks are busy, copies and comparisons read only part of the time. What changes is followed all
 * the same, or the replica would fall behind for good.
 *
 * ```
 * all of the time ──▶ half ──▶ a quarter ──▶ an eighth     one step when writes take long, if the step before has helped
 *                 ◀──      ◀──           ◀──               one step for every five seconds in which they do not
 *                                                          one step back when a step did not help
 * ```
 *
 * Disks are slow by themselves, too: a copy that went at an eighth of its speed beside them would help nobody. So each step is a trial.
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

/** Seconds after a step in which is seen whether it helps. */
const trialSeconds = 3

/** What writes take after the first step, of what they took before, where half of it was due to the reading. A step that brings less is in vain. */
const mostRemaining = 0.75

/** Seconds after a step in vain in which none is tried. Then it goes up a step: what was in vain beside others may have changed. */
const restSeconds = 60

/** After a long step nobody waits longer than this. */
const longestPauseMs = 2000

/** The share of the time in which is read, and what is known of it. */
export interface ReadingShare {
  share: number
  calmSeconds: number
  /** What writes took before the last step and what they take since, while it is on trial. */
  trial?: { beforeMs: number; sinceMs: readonly number[] }
  /** While no step is tried. */
  restingSeconds?: number
}

/** Nothing is held back. */
export const fullSpeed: ReadingShare = { share: 1, calmSeconds: 0 }

/** The share after another second in which a write took `writeMs`; undefined for hardly any writes. Pure. */
export function nextShare(state: ReadingShare, writeMs: number | undefined): ReadingShare {
  const { share, trial, restingSeconds } = state
  const calm = writeMs === undefined || writeMs <= writeLimitsMs.calm ? state.calmSeconds + 1 : 0
  if (calm >= calmSeconds) return oneStepUp(share)
  const next = { ...state, calmSeconds: calm }
  if (trial !== undefined) return afterTrial(next, trial.beforeMs, [...trial.sinceMs, writeMs ?? 0])
  if (restingSeconds !== undefined)
    return restingSeconds > 1 ? { ...next, restingSeconds: restingSeconds - 1 } : oneStepUp(share)
  if (writeMs === undefined || writeMs <= writeLimitsMs.busy || share === leastShare) return next
  return { share: share / 2, calmSeconds: 0, trial: { beforeMs: writeMs, sinceMs: [] } }
}

function oneStepUp(share: number): ReadingShare {
  return { share: Math.min(1, share * 2), calmSeconds: 0 }
}

function afterTrial(
  { share, calmSeconds: calm }: ReadingShare,
  beforeMs: number,
  sinceMs: readonly number[],
): ReadingShare {
  if (sinceMs.length < trialSeconds) return { share, calmSeconds: calm, trial: { beforeMs, sinceMs } }
  const meanMs = sinceMs.reduce((sum, ms) => sum + ms, 0) / sinceMs.length
  return meanMs <= beforeMs * mostRemaining
    ? { share, calmSeconds: calm }
    : { ...oneStepUp(share), restingSeconds: restSeconds }
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
      `the time, if that helps, until they take less than ${writeLimitsMs.calm} ms`
    )
  }
}
