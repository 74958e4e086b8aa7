/**
 * Since when the replica is certainly a copy: the base of lag.
 *
 * A sweep sends everything that was dirty when it began. If the trackers were asked at time t, the sweep began then, and all it sent has become
 * durable, then every change that completed on the source before t is durable on the replica. The latest such t is `lastConsistentAt`, and lag is
 * the time since then. It needs no quiet moment: under steady writing lag is about the length of a sweep and the time to the acknowledgement.
 *
 * A disk that only passes watch counts from the start of its last finished pass, because a change after that may not have been read yet. While a disk
 * is scanned, or has a block that cannot be read, nothing new is certain, and lag grows.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { DiskSync } from './disk_sync.ts'

/** The time up to which a sweep of `disks` that begins now can make everything certain; undefined when something of them is not known. */
export function coverageOf(disks: readonly DiskSync[], drainedAtMs: number): number | undefined {
  let covered = drainedAtMs
  for (const disk of disks) {
    const isPass = disk.scan?.purpose === 'PASS'
    if ((disk.scan !== undefined && !isPass) || disk.unreadableCount > 0) return undefined
    if (!disk.tracker.needsPasses) continue
    if (disk.lastScan === undefined) return undefined
    covered = Math.min(covered, disk.lastScan.startedAtMs)
  }
  return covered
}

/** Keeps the latest moment of certainty. */
export class Certainty {
  readonly #clock: Clock
  #atMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Everything up to monotonic time `coveredMs` will be durable once `acknowledged` resolves; never, if it rejects. */
  expect(coveredMs: number, acknowledged: Promise<void>): void {
    acknowledged.then(
      () => {
        this.#atMs = Math.max(this.#atMs ?? coveredMs, coveredMs)
      },
      // The session broke: its extents are dirty again and a later sweep covers them.
      () => undefined,
    )
  }

  /** Nothing is certain any more: the volume is another one. */
  reset(): void {
    this.#atMs = undefined
  }

  /** Milliseconds since replica and source were last the same; null before the first time. */
  lagMs(): number | null {
    return this.#atMs === undefined ? null : Math.max(0, this.#clock.monotonicMs() - this.#atMs)
  }

  /** Wall clock time of that moment. */
  lastConsistentAtMs(): number | undefined {
    const lag = this.lagMs()
    return lag === null ? undefined : this.#clock.nowMs() - lag
  }
}
