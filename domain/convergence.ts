/**
 * Whether a replica can catch up: it cannot while blocks change as fast as they are copied, or faster, for minutes. In a first copy or a rescan
 * what is left of it tells as well: while that becomes less, the replica will be whole, however much changes.
 * @module
 */
import type { DataReplicationError, DataReplicationState } from './replication.ts'
import { speedInWords } from './units.ts'

/** What is left of a first copy or a rescan. */
export interface MeasuredRest {
  /** Not compared or copied yet, changed since, or on its way. */
  bytes: number
  /** Of these, known to have to be sent: they wait for the link, not for being read. */
  waitingBytes: number
  /** By how much it became less over the time measured; below zero, it became more. */
  shrinkBytesPerSecond: number
}

/** Speeds that the agent measured while blocks were waiting. */
export interface MeasuredPace {
  measuredMs: number
  changedBytesPerSecond: number
  durableBytesPerSecond: number
  /** In a first copy or a rescan. */
  rest?: MeasuredRest | undefined
}

/** Measured for less than this, speeds may be those of a burst. A first copy or a rescan takes long, so there is time to be sure. */
const leastMeasuredMs = { following: 120_000, scanning: 300_000 }

/** Of what becomes durable, the share that changes meanwhile: from here on the replica does not catch up, and below there it does. */
const changedShares = { begin: 1, end: 0.9 }

/** Of what becomes durable, the share by which the rest of a first copy or rescan becomes less: up to here it does not, and above there it does. */
const shrinkShares = { begin: 0.05, end: 0.1 }

/** So many seconds' worth of what becomes durable waits where the link is too slow; less, and it is reading the disk that takes its time. */
const waitingSeconds = { begin: 30, end: 10 }

/** States in which the replica is behind and copying, so that the speeds say whether it will ever be up to date. */
const behind: readonly DataReplicationState[] = ['BACKLOG', 'CREATING_SNAPSHOT']

/** States in which all blocks of a disk are gone through. */
const scanning: readonly DataReplicationState[] = ['INITIAL_SYNC', 'RESCAN']

const whatToDo = 'Give the server more bandwidth (its limit, calendar or site), or wait until less is written'

/** Whether `error` was said by {@link convergenceError}: others have the same code, as a sector that cannot be read. */
export function isConvergenceError(error: DataReplicationError | undefined): error is DataReplicationError {
  return error?.error === 'NOT_CONVERGING' && error.whatToDo === whatToDo
}

/**
 * The error to show, or none. Once said, it stays until changes have become clearly fewer, so that it does not flicker, until what is left becomes
 * clearly less, or until the replica is up to date. Pure.
 */
export function convergenceError(
  state: DataReplicationState,
  pace: MeasuredPace | undefined,
  known: DataReplicationError | undefined,
): DataReplicationError | undefined {
  const said = isConvergenceError(known) ? known : undefined
  if (!behind.includes(state) && !scanning.includes(state)) return undefined
  // After a new connection or another limit it is measured anew: until that says something, the last word holds.
  if (pace === undefined) return said
  const { measuredMs, changedBytesPerSecond: changed, durableBytesPerSecond: durable, rest } = pace
  // Between the end of a first copy and the state that follows there is nothing to judge by.
  if (rest === undefined && scanning.includes(state)) return said
  if (measuredMs < leastMeasuredMs[rest === undefined ? 'following' : 'scanning']) return said
  const limit = said === undefined ? 'begin' : 'end'
  if (changed === 0 || changed < changedShares[limit] * durable) return undefined
  if (rest !== undefined && !isStuck(rest, durable, limit)) return undefined
  const minutes = Math.round(measuredMs / 60_000)
  const left =
    rest === undefined ? '' : `; ${(rest.bytes / 1e9).toFixed(1)} GB are left to copy, and do not become less`
  return {
    error: 'NOT_CONVERGING',
    rawError: `Blocks change at ${speedInWords(changed)}, and ${speedInWords(durable)} of them become durable in the replica, over the last ${minutes} minutes${left}`,
    whatToDo,
  }
}

/** Whether what is left does not become less because the link does not carry it. */
function isStuck(rest: MeasuredRest, durable: number, limit: 'begin' | 'end'): boolean {
  return (
    rest.shrinkBytesPerSecond <= shrinkShares[limit] * durable &&
    rest.waitingBytes >= waitingSeconds[limit] * durable
  )
}
