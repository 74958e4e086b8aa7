/**
 * Estimates how long a first copy or a rescan still takes. Reading costs time for each byte looked at, sending for each byte that must be sent; zeros and
 * blocks that the replica has already cost the former only. Both are found from the last minute, so a long run of zeros does not look like a fast link.
 * @module
 */

/** What was done in some time. */
interface Sample {
  atMs: number
  elapsedMs: number
  scannedBytes: number
  sentBytes: number
}

/** Counters at one moment. */
export interface WorkDone {
  /** Monotonic time. */
  atMs: number
  /** Bytes that the scans under way have dealt with. */
  scannedBytes: number
  /** Bytes of blocks sent, before compression. */
  sentBytes: number
}

/** What is still to be done. */
export interface WorkLeft {
  /** Bytes that the scans under way have not come to. */
  unscannedBytes: number
  /** Bytes known to be outstanding. */
  outstandingBytes: number
  /** Bytes that become outstanding anew, a millisecond. */
  changedBytesPerMs: number
}

/** Speeds are those of this time. */
const windowMs = 60_000

/** Before that nothing is said: the first seconds fill buffers. */
const leastMs = 5000

/** How much of a fit is held to be chance: where all samples are alike, reading and sending share the blame. */
const ridge = 1e-3

/** Time for each byte, in milliseconds. */
interface Cost {
  scanned: number
  sent: number
}

/** The costs that explain the samples best, none of them negative, and their sum exactly. Pure. */
function costOf(samples: readonly Sample[]): Cost | undefined {
  let [xx, ss, xs, tx, ts, t, x, s] = [0, 0, 0, 0, 0, 0, 0, 0]
  for (const { elapsedMs, scannedBytes, sentBytes } of samples) {
    xx += scannedBytes * scannedBytes
    ss += sentBytes * sentBytes
    xs += scannedBytes * sentBytes
    tx += elapsedMs * scannedBytes
    ts += elapsedMs * sentBytes
    t += elapsedMs
    x += scannedBytes
    s += sentBytes
  }
  if (x + s === 0) return undefined
  const lambda = ridge * (xx + ss)
  const determinant = (xx + lambda) * (ss + lambda) - xs * xs
  const scanned = Math.max(0, (tx * (ss + lambda) - ts * xs) / determinant)
  const sent = Math.max(0, (ts * (xx + lambda) - tx * xs) / determinant)
  const explainedMs = scanned * x + sent * s
  // Should neither explain anything, the time was spent otherwise and no speed is known.
  if (explainedMs <= 0) return undefined
  return { scanned: (scanned * t) / explainedMs, sent: (sent * t) / explainedMs }
}

/** Follows the work of one scan after the other. */
export class TimeLeft {
  #last: WorkDone | undefined
  #samples: Sample[] = []
  /** Of the scans under way, to know which share of what they come to must be sent. */
  #scannedBytes = 0
  #sentBytes = 0

  /** Counters now, about once a second. */
  add(now: WorkDone): void {
    const last = this.#last
    this.#last = now
    // Another scan has begun, or the disks are others.
    if (last === undefined || now.scannedBytes < last.scannedBytes || now.sentBytes < last.sentBytes) {
      this.#samples = []
      this.#scannedBytes = 0
      this.#sentBytes = 0
      return
    }
    const sample = {
      atMs: now.atMs,
      elapsedMs: now.atMs - last.atMs,
      scannedBytes: now.scannedBytes - last.scannedBytes,
      sentBytes: now.sentBytes - last.sentBytes,
    }
    this.#scannedBytes += sample.scannedBytes
    this.#sentBytes += sample.sentBytes
    this.#samples = [...this.#samples.filter(({ atMs }) => now.atMs - atMs < windowMs), sample]
  }

  /** Work was interrupted: what was measured before says nothing of what comes. */
  interrupt(): void {
    this.#last = undefined
    this.#samples = []
  }

  /** Milliseconds until all of `left` is done; null while that cannot be known, as when more becomes outstanding than is sent. */
  leftMs({ unscannedBytes, outstandingBytes, changedBytesPerMs }: WorkLeft): number | null {
    if (unscannedBytes + outstandingBytes === 0) return 0
    const measuredMs = this.#samples.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0)
    const cost = measuredMs < leastMs ? undefined : costOf(this.#samples)
    if (cost === undefined || (unscannedBytes > 0 && this.#scannedBytes === 0)) return null
    const share = this.#scannedBytes === 0 ? 0 : Math.min(1, this.#sentBytes / this.#scannedBytes)
    const ms = cost.scanned * unscannedBytes + cost.sent * (share * unscannedBytes + outstandingBytes)
    // While that goes on, more becomes outstanding, which takes its time as well.
    const growth = cost.sent * changedBytesPerMs
    return growth < 1 ? ms / (1 - growth) : null
  }
}
