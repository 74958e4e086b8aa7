/**
 * Retry options, in one place.
 * @module
 */
import type { JobsOptions } from 'bullmq'

/**
 * Eight attempts over about two minutes, with jitter: long enough for a restarting replication server or a throttled cloud, short
 * enough that an operator who watches is told. Finished entries are removed at once, so that the same wake-up can be added again.
 */
export const wakeUpOptions: JobsOptions = {
  attempts: 8,
  backoff: { type: 'exponential', delay: 1000, jitter: 0.5 },
  removeOnComplete: true,
  removeOnFail: true,
}

/** How long a worker may be silent before its job is taken by another. */
export const lockDurationMs = 15_000

/** How often workers look for such jobs. */
export const stalledCheckMs = 5000
