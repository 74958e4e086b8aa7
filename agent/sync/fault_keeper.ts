/**
 * Remembers what keeps replication from going on: what the operator is told, and how long to wait before the next attempt.
 * @module
 */
import type { DataReplicationError } from '../../domain/replication.ts'
import type { Random } from '../backoff.ts'
import { WireError } from '../../wire/wire_error.ts'
import { backoffMs } from '../backoff.ts'
import { DiskGoneError, DiskRefusedError, OtherDiskError } from '../disk/block_source.ts'
import { faultOf } from './faults.ts'

/** Waits between attempts to connect. */
const reconnect = { baseMs: 500, maxMs: 30_000 }

/** Wait after a refusal that retrying does not mend. */
const refusedWaitMs = 60_000

/** Failures in a row after which the operator is told; one alone is repaired without a word. */
const failuresToTell = 2

/**
 * What the replication server learns of within seconds of the agent: whoever is faster is refused, some times in a row. It is told when it stays
 * for about eight seconds.
 */
const passesSoon = { codes: new Set(['NOT_ASSIGNED', 'UNKNOWN_VOLUME']), failuresToTell: 5 }

/** What the replicator says of its own disks does not pass by itself. */
const toldAtOnce = new Set(['NO_SPACE', 'VOLUME_IO_ERROR'])

/** What is wrong with a disk of this machine: it is told at once. */
const diskErrors = [DiskGoneError, DiskRefusedError, OtherDiskError]

/** A session that lasts this long has put right what ended the one before. */
export const steadyAfterMs = 10_000

/** Failures of sessions, one after the other. */
export class FaultKeeper {
  #failures = 0
  #isRefused = false
  #fault: DataReplicationError | undefined
  #failuresToTell = failuresToTell
  /** A disk is gone, smaller than it was, another one, or must not be read. */
  hasDiskFault = false

  /** A session failed, or could not begin; answers what that is for the operator, who is told of it if it stays. */
  add(error: unknown, wasConnected: boolean): DataReplicationError {
    this.#failures += 1
    const fault = faultOf(error, wasConnected)
    this.#fault = fault
    this.hasDiskFault = diskErrors.some((kind) => error instanceof kind)
    this.#isRefused = error instanceof WireError && !error.retryable
    const passes = error instanceof WireError && passesSoon.codes.has(error.code)
    this.#failuresToTell = passes ? passesSoon.failuresToTell : failuresToTell
    const isTold = this.#isRefused || (error instanceof WireError && toldAtOnce.has(error.code))
    if (isTold) this.#failures = Math.max(this.#failures, this.#failuresToTell)
    return fault
  }

  /** The next attempt is not to wait: something was changed. */
  forgive(): void {
    this.#failures = 0
    this.#isRefused = false
  }

  /** All is well. */
  clear(): void {
    this.forgive()
    this.#fault = undefined
    this.hasDiskFault = false
  }

  /** What the operator is told. */
  get told(): DataReplicationError | undefined {
    return this.hasDiskFault || this.#failures >= this.#failuresToTell ? this.#fault : undefined
  }

  /** Whether the last failure is one that passes within seconds, as far as is known by now. */
  get isPassing(): boolean {
    return this.#failuresToTell === passesSoon.failuresToTell && this.told === undefined
  }

  /** The wait before the next attempt. */
  waitMs(random: Random): number {
    return this.#isRefused ? refusedWaitMs : backoffMs(this.#failures, reconnect, random)
  }
}
