/**
 * Whether a replica can catch up: it cannot while blocks change as fast as they are copied, or faster, for minutes.
 * @module
 */
import type { DataReplicationError, DataReplicationState } from './replication.ts'

/** Speeds that the agent measured while blocks were waiting. */
export interface MeasuredPace {
  measuredMs: number
  changedBytesPerSecond: number
  durableBytesPerSecond: number
}

/** Measured for less than this, speeds may be those of a burst. */
const leastMeasuredMs = 120_000

/** Of what becomes durable, the share that changes meanwhile: from here on the replica does not catch up, and below there it does. */
const shares = { begin: 1, end: 0.9 }

/** States in which the replica is behind and copying, so that the speeds say whether it will ever be up to date. */
const behind: readonly DataReplicationState[] = ['BACKLOG', 'CREATING_SNAPSHOT']

function megabytes(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`
}

/**
 * The error to show, or none. Once said, it stays until changes have become clearly fewer, so that it does not flicker, or until the replica is up to
 * date. Pure.
 */
export function convergenceError(
  state: DataReplicationState,
  pace: MeasuredPace | undefined,
  known: DataReplicationError | undefined,
): DataReplicationError | undefined {
  const said = known?.error === 'NOT_CONVERGING' ? known : undefined
  if (!behind.includes(state)) return undefined
  // After a new connection or another limit it is measured anew: until that says something, the last word holds.
  if (pace === undefined || pace.measuredMs < leastMeasuredMs) return said
  const { changedBytesPerSecond: changed, durableBytesPerSecond: durable } = pace
  const share = said === undefined ? shares.begin : shares.end
  if (changed === 0 || changed < share * durable) return undefined
  const minutes = Math.round(pace.measuredMs / 60_000)
  return {
    error: 'NOT_CONVERGING',
    rawError: `Blocks change at ${megabytes(changed)}, and ${megabytes(durable)} of them become durable in the replica, over the last ${minutes} minutes`,
    whatToDo: 'Give the server more bandwidth (its limit, calendar or site), or wait until less is written',
  }
}
