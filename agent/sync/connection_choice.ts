/**
 * Decides by measurement how many connections a session has. One is enough for most links; over a long or lossy one each further connection may
 * carry as much again. So one more is tried while bytes wait for the link, and kept if more bytes became durable with it.
 *
 * ```
 *            bytes wait for the link: one more is tried
 *   ┌─────┐ ────────────────────────────────────────────▶ ┌───────┐ ── faster by a tenth: it stays, and the next may be tried
 *   │  n  │                                               │ n + 1 │
 *   └─────┘ ◀──────────────────────────────────────────── └───────┘
 *            not faster: closed; the next trial after 1 min, 2 min … 32 min
 * ```
 * A far end that is slow looks like a slow link from here, and a trial shows that it is none.
 * @module
 */

/** What was seen while the number of connections stayed the same. */
export interface LinkObservation {
  /** Time in which there was something to send. */
  busyMs: number
  /** The part of it in which bytes waited for a connection that took no more. */
  waitMs: number
  /** Payload that was acknowledged, as it crossed the wire: how well it compresses says nothing of the link. */
  acknowledgedBytes: number
}

/** The number wanted and what is remembered. */
export interface ConnectionChoice {
  count: number
  /** Observations with this number. The first is not judged: windows are still filling. */
  observations: number
  /** Speeds of the last ones judged, bytes a millisecond. */
  speeds: readonly number[]
  /** Observations in a row in which the link was what was waited for, or was not. */
  bound: number
  quiet: number
  /** Speed before the last connection was opened, while it is on trial. */
  speedBefore: number | undefined
  /** No further one is tried before this monotonic time. */
  nextTrialAtMs: number
  /** Trials in a row that made nothing faster. */
  failures: number
  /** Quiet observations in a row after which one is closed. */
  patience: number
}

/** Share of the busy time with bytes waiting from which on the link counts as the bottleneck. */
const boundShare = 0.7

/** One connection more must make sending this much faster. */
const worthwhileGain = 1.1

/** Observations that are judged together, by the best of them: what interrupts sending for a moment is not the link's speed. */
const judgedObservations = 2

/** The wait before the next trial; doubled with each that made nothing faster. */
const trialWaitMs = { first: 60_000, most: 32 * 60_000 }

/** See {@link ConnectionChoice.patience}; doubled with each connection that is closed for it, so that none comes and goes for ever. */
const patience = { first: 30, most: 1920 }

/** Every session begins with one connection. */
export const oneConnection: ConnectionChoice = {
  count: 1,
  observations: 0,
  speeds: [],
  bound: 0,
  quiet: 0,
  speedBefore: undefined,
  nextTrialAtMs: 0,
  failures: 0,
  patience: patience.first,
}

function withCount(choice: ConnectionChoice, count: number): ConnectionChoice {
  return { ...choice, count, observations: 0, speeds: [], bound: 0, quiet: 0, speedBefore: undefined }
}

function refused(choice: ConnectionChoice, nowMs: number): ConnectionChoice {
  const waitMs = Math.min(trialWaitMs.most, trialWaitMs.first * 2 ** choice.failures)
  return {
    ...withCount(choice, choice.count - 1),
    failures: choice.failures + 1,
    nextTrialAtMs: nowMs + waitMs,
  }
}

/** The choice after the connection on trial could not be opened, or was lost before it was used. Pure. */
export function withoutTrial(choice: ConnectionChoice, nowMs: number): ConnectionChoice {
  return choice.speedBefore === undefined ? choice : refused(choice, nowMs)
}

/** The choice after `seen` was observed with the number of `choice`, of which there may be `most`. Pure. */
export function nextConnections(
  choice: ConnectionChoice,
  seen: LinkObservation,
  nowMs: number,
  most: number,
): ConnectionChoice {
  const observations = choice.observations + 1
  if (observations === 1) return { ...choice, observations }
  const speed = seen.acknowledgedBytes / Math.max(1, seen.busyMs)
  const speeds = [...choice.speeds, speed].slice(-judgedObservations)
  const isBound = seen.waitMs >= boundShare * seen.busyMs
  const bound = isBound ? choice.bound + 1 : 0
  const quiet = isBound ? 0 : choice.quiet + 1
  const counted = { ...choice, observations, speeds, bound, quiet }
  if (speeds.length < judgedObservations) return counted
  if (choice.speedBefore !== undefined && Math.max(...speeds) < worthwhileGain * choice.speedBefore)
    return refused(choice, nowMs)
  const kept =
    choice.speedBefore === undefined ? counted : { ...counted, speedBefore: undefined, failures: 0 }
  if (quiet >= choice.patience && choice.count > 1) {
    const longer = Math.min(patience.most, 2 * choice.patience)
    return { ...withCount(kept, choice.count - 1), patience: longer }
  }
  if (bound < judgedObservations || choice.count >= most || nowMs < choice.nextTrialAtMs) return kept
  return { ...withCount(kept, choice.count + 1), speedBefore: Math.max(...speeds) }
}
