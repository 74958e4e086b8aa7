/**
 * Decides by measurement whether compressing pays. It costs processor time and saves time on the link, so it pays only while the link is what
 * everything waits for: then the processor has nothing better to do.
 *
 * ```
 *            the link is not the bottleneck, and plain sending was not measured lately
 *   ┌──────┐ ────────────────────────────────────────────────────────────────────────▶ ┌───────┐
 *   │ ZSTD │ ◀──────────────── plain sending is held up by the link ────────────────── │ PLAIN │
 *   └──────┘ ──────── not faster than plain sending was; PLAIN for a while ──────────▶ └───────┘
 * ```
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

/** The mode in use and what is remembered of the other. */
export interface CompressionChoice {
  mode: CompressionMode
  /** Observations in this mode; the first is not judged, because buffers still hold what the other mode sent. */
  observations: number
  /** Raw bytes a second without compression, as last measured; 0 while the link was not what held it up. */
  plain: { bytesPerSecond: number; atMs: number } | undefined
  /** No compressing before this monotonic time. */
  plainUntilMs: number
  /** Times in a row that compressing turned out to be no faster. */
  disappointments: number
}

/** Share of the time waited for the link from which on the link counts as the bottleneck. */
const linkBoundShare = 0.3

/** Compressing must be this much faster than sending plainly, or it only heats the processor. */
const worthwhileGain = 1.1

/** How long a measurement of plain sending is believed: links change. */
const believedMs = 60_000

/** Times for which compressing is not tried again after it disappointed; doubled each time. */
const pauseMs = { first: 15_000, most: 240_000 }

/** Before anything was measured: a slow link gets no uncompressed byte, and a fast one is found out within the second observation. */
export const firstChoice: CompressionChoice = {
  mode: 'ZSTD',
  observations: 0,
  plain: undefined,
  plainUntilMs: 0,
  disappointments: 0,
}

/** The choice after `seen` was observed in the mode of `choice`. Pure. */
export function nextChoice(
  choice: CompressionChoice,
  seen: SendObservation,
  nowMs: number,
): CompressionChoice {
  const counted = { ...choice, observations: choice.observations + 1 }
  if (counted.observations === 1) return counted
  const bytesPerSecond = (seen.rawBytes * 1000) / Math.max(1, seen.elapsedMs)
  const isLinkBound = seen.linkWaitMs >= linkBoundShare * seen.elapsedMs
  return choice.mode === 'PLAIN'
    ? afterPlain(counted, isLinkBound, bytesPerSecond, nowMs)
    : afterZstd(counted, isLinkBound, bytesPerSecond, nowMs)
}

function afterPlain(
  choice: CompressionChoice,
  isLinkBound: boolean,
  bytesPerSecond: number,
  nowMs: number,
): CompressionChoice {
  if (!isLinkBound) return { ...choice, plain: { bytesPerSecond: 0, atMs: nowMs } }
  const before = choice.plain?.bytesPerSecond ?? 0
  const measured = { ...choice, plain: { bytesPerSecond, atMs: nowMs } }
  // The first time buffers were still filling, which looks faster than the link is.
  if (before === 0 || nowMs < choice.plainUntilMs) return measured
  return { ...measured, mode: 'ZSTD', observations: 0 }
}

function afterZstd(
  choice: CompressionChoice,
  isLinkBound: boolean,
  bytesPerSecond: number,
  nowMs: number,
): CompressionChoice {
  // The link is full of compressed blocks: nothing can be faster.
  if (isLinkBound) return { ...choice, disappointments: 0 }
  const { plain } = choice
  if (plain === undefined || nowMs - plain.atMs > believedMs)
    return { ...choice, mode: 'PLAIN', observations: 0, plain: undefined }
  if (bytesPerSecond > plain.bytesPerSecond * worthwhileGain) return { ...choice, disappointments: 0 }
  const waitMs = Math.min(pauseMs.most, pauseMs.first * 2 ** choice.disappointments)
  return {
    ...choice,
    mode: 'PLAIN',
    observations: 0,
    plainUntilMs: nowMs + waitMs,
    disappointments: choice.disappointments + 1,
  }
}
