/**
 * Decides by measurement whether compressing pays: it costs processor time and saves time on the link and on everything that is done for each byte on the
 * wire. Which of the two is scarce differs from machine to machine, so both ways are tried and the faster one is kept for a while.
 *
 * ```
 *                  tried, or the other turned out faster
 *   ┌──────┐ ─────────────────────────────────────────────▶ ┌───────┐
 *   │ ZSTD │                                                │ PLAIN │   each is kept for 15 s, 30 s, 1 min … before the other is tried again
 *   └──────┘ ◀───────────────────────────────────────────── └───────┘
 * ```
 * One case needs no trial: while a link is full of compressed blocks, nothing can be faster.
 * @module
 */

/** How blocks go out: compressed where they shrink, or as they are. */
export type CompressionMode = 'ZSTD' | 'PLAIN'

/** What was seen while one mode was in use and there was always something to send. */
export interface SendObservation {
  /** Time spent. */
  elapsedMs: number
  /** The part of it in which blocks were ready and the link took no more. */
  linkWaitMs: number
  /** Blocks sent, before compression. */
  rawBytes: number
}

/** Speed of a mode when it was last measured. */
interface Measured {
  bytesPerMs: number
  isLinkBound: boolean
}

/** The mode in use and what is remembered of both. */
export interface CompressionChoice {
  mode: CompressionMode
  /** Observations in this mode; the first is not judged, because buffers still hold what the other mode sent. */
  observations: number
  measured: Partial<Record<CompressionMode, Measured>>
  /** The other mode is not tried before this monotonic time. */
  keepUntilMs: number
  /** Trials in a row that changed nothing. */
  confirmations: number
}

/** Share of the time waited for the link from which on the link counts as the bottleneck. */
const linkBoundShare = 0.3

/** Compressing must be this much faster than sending plainly, or it only heats the processor. */
const worthwhileGain = 1.1

/** How long the faster mode is kept before the other is tried again; doubled with every trial that changes nothing. */
const keepMs = { first: 15_000, most: 240_000 }

/** How much longer sending plainly is kept once the link has become the bottleneck. */
const linkBoundKeepMs = 5000

/** Before anything was measured: a slow link gets no uncompressed byte, and a fast one is found out within two observations. */
export const firstChoice: CompressionChoice = {
  mode: 'ZSTD',
  observations: 0,
  measured: {},
  keepUntilMs: 0,
  confirmations: 0,
}

const otherMode = { ZSTD: 'PLAIN', PLAIN: 'ZSTD' } as const

/** The choice after `seen` was observed in the mode of `choice`. Pure. */
export function nextChoice(
  choice: CompressionChoice,
  seen: SendObservation,
  nowMs: number,
): CompressionChoice {
  const { mode } = choice
  const counted = { ...choice, observations: choice.observations + 1 }
  if (counted.observations === 1) return counted
  const isLinkBound = seen.linkWaitMs >= linkBoundShare * seen.elapsedMs
  if (mode === 'ZSTD' && isLinkBound) return { ...counted, measured: {}, keepUntilMs: 0, confirmations: 0 }
  const before = choice.measured[mode]
  const own = { bytesPerMs: seen.rawBytes / Math.max(1, seen.elapsedMs), isLinkBound }
  const measured = { ...choice.measured, [mode]: own }
  const other = measured[otherMode[mode]]
  // The link has become the bottleneck: compressing is tried soon. At first buffers were still filling, which looks faster than the link is.
  if (isLinkBound && before?.isLinkBound !== true)
    return { ...counted, measured, keepUntilMs: Math.min(choice.keepUntilMs, nowMs + linkBoundKeepMs) }
  if (nowMs < choice.keepUntilMs) return { ...counted, measured }
  if (other === undefined) return { ...counted, mode: otherMode[mode], observations: 0, measured }
  return decided(counted, measured, nowMs)
}

/** Both are measured: the faster is kept for a while, and the other forgotten, so that it is tried again after that. */
function decided(
  choice: CompressionChoice,
  measured: CompressionChoice['measured'],
  nowMs: number,
): CompressionChoice {
  const { ZSTD: zstd, PLAIN: plain } = measured
  const gain = (zstd?.bytesPerMs ?? 0) / (plain?.bytesPerMs ?? 1)
  const mode = gain > worthwhileGain ? 'ZSTD' : 'PLAIN'
  const best = measured[mode]
  // A trial ends in the mode that was tried: back in the one before, it has changed nothing.
  const confirmations = mode === choice.mode ? 0 : choice.confirmations + 1
  return {
    mode,
    observations: mode === choice.mode ? choice.observations : 0,
    measured: best === undefined ? {} : { [mode]: best },
    keepUntilMs: nowMs + Math.min(keepMs.most, keepMs.first * 2 ** confirmations),
    confirmations,
  }
}
