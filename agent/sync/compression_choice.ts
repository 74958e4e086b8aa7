/**
 * Decides by measurement whether compressing pays: it costs processor time at both ends and saves time on the link and on everything that is done for
 * each byte on the wire. Which of the two is scarce differs from machine to machine, so both ways are tried and the faster one is kept for a while.
 *
 * ```
 *                  tried, or the other turned out faster
 *   ┌──────┐ ─────────────────────────────────────────────▶ ┌───────┐
 *   │ ZSTD │                                                │ PLAIN │   each is kept for 2 s, 4 s … 4 min before the other is tried again
 *   └──────┘ ◀───────────────────────────────────────────── └───────┘
 * ```
 * Speed is what becomes durable, not what a socket takes: buffers swallow the first megabytes however slow the link is. One case needs no trial: while
 * far less gets through than this machine compresses, the link is what is scarce.
 * @module
 */

/** How blocks go out: compressed where they shrink, or as they are. */
export type CompressionMode = 'ZSTD' | 'PLAIN'

/** What was seen while one mode was in use and there was always something to send. */
export interface SendObservation {
  /** Time spent. */
  elapsedMs: number
  /** The part of it in which bytes were ready, and waited for the link, the far end or the throttle. */
  waitMs: number
  /** Blocks that became durable, before compression. */
  rawBytes: number
  /** How fast this machine compresses, as far as it is known: raw bytes a millisecond of one extent. */
  encodeBytesPerMs?: number
}

/** Speed of a mode when it was last measured. */
interface Measured {
  bytesPerMs: number
  isWaiting: boolean
}

/** The mode in use and what is remembered of both. */
export interface CompressionChoice {
  mode: CompressionMode
  measured: Partial<Record<CompressionMode, Measured>>
  /** The other mode is not tried before this monotonic time. */
  keepUntilMs: number
  /** Trials in a row that changed nothing. */
  confirmations: number
}

/** Share of the time with bytes waiting from which on this machine is not what limits sending. */
const waitingShare = 0.5

/**
 * A link that lets through less than this share of what one processor compresses is what is scarce: to decompress takes a third of the time or less, so a
 * far end that were the reason would be a machine many times slower than this one.
 */
const scarceShare = 0.25

/** Compressing must be this much faster than sending plainly, or it only heats the processor; of one that waits anyway, it must not be slower. */
const worthwhileGain = { working: 1.1, waiting: 0.97 }

/** How long the faster mode is kept before the other is tried again; doubled with every trial that changes nothing. Short at first: one look may err. */
const keepMs = { first: 2000, most: 240_000 }

/** Nor is it tried for more than this share of the time, however long a trial takes; but what held a trial up for hours may have been anything. */
const trialShare = 0.05
const longestKeepMs = 3_600_000

/** How much longer sending plainly is kept once it has become slow. */
const slowKeepMs = 2000
const slowShare = 0.5

/** A trial is over when it has taken so many times as long as the other mode needed. */
const overdueTimes = 1.5

/** Before anything was measured: a slow link gets no uncompressed byte, and a fast one is found out with the first observation. */
export const firstChoice: CompressionChoice = {
  mode: 'ZSTD',
  measured: {},
  keepUntilMs: 0,
  confirmations: 0,
}

const otherMode = { ZSTD: 'PLAIN', PLAIN: 'ZSTD' } as const

/** After how long an observation of `bytes` has lasted long enough, even if they are not yet durable: the mode in use is the slower one by far. */
export function overdueMs({ mode, measured }: CompressionChoice, bytes: number): number {
  const other = measured[otherMode[mode]]
  return other === undefined ? Infinity : (overdueTimes * bytes) / other.bytesPerMs
}

/** The choice after `seen` was observed in the mode of `choice`. Pure. */
export function nextChoice(
  choice: CompressionChoice,
  seen: SendObservation,
  nowMs: number,
): CompressionChoice {
  const { mode } = choice
  const { elapsedMs, waitMs, rawBytes, encodeBytesPerMs = 0 } = seen
  const own = { bytesPerMs: rawBytes / Math.max(1, elapsedMs), isWaiting: waitMs >= waitingShare * elapsedMs }
  const isLinkScarce = own.isWaiting && own.bytesPerMs <= scarceShare * encodeBytesPerMs
  if (mode === 'ZSTD' && isLinkScarce) return firstChoice
  const before = choice.measured[mode]
  const measured = { ...choice.measured, [mode]: own }
  const other = measured[otherMode[mode]]
  if (mode === 'PLAIN' && before !== undefined && own.bytesPerMs < slowShare * before.bytesPerMs)
    return { ...choice, measured, keepUntilMs: Math.min(choice.keepUntilMs, nowMs + slowKeepMs) }
  if (nowMs < choice.keepUntilMs) return { ...choice, measured }
  if (other === undefined) return { ...choice, mode: otherMode[mode], measured }
  return decided(choice, measured, { nowMs, trialMs: elapsedMs })
}

/** Both are measured: the faster is kept for a while, and the other forgotten, so that it is tried again after that. */
function decided(
  choice: CompressionChoice,
  measured: CompressionChoice['measured'],
  { nowMs, trialMs }: { nowMs: number; trialMs: number },
): CompressionChoice {
  const { ZSTD: zstd, PLAIN: plain } = measured
  const gain = (zstd?.bytesPerMs ?? 0) / Math.max(Number.MIN_VALUE, plain?.bytesPerMs ?? 0)
  const leastGain = plain?.isWaiting === true ? worthwhileGain.waiting : worthwhileGain.working
  const mode = gain > leastGain ? 'ZSTD' : 'PLAIN'
  const best = measured[mode]
  // A trial ends in the mode that was tried: back in the one before, it has changed nothing.
  const confirmations = mode === choice.mode ? 0 : choice.confirmations + 1
  const pauseMs = Math.min(keepMs.most, keepMs.first * 2 ** confirmations)
  return {
    mode,
    measured: best === undefined ? {} : { [mode]: best },
    keepUntilMs: nowMs + Math.max(pauseMs, Math.min(longestKeepMs, trialMs / trialShare)),
    confirmations,
  }
}
