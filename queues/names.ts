/**
 * The queues: one for each kind of work, so that slow conversions never keep a snapshot waiting.
 * @module
 */

/** Every queue, with how many of its jobs one worker process runs at a time. Conversion is one appliance of about 1 GiB each. */
export const queueConcurrency = {
  staging: 4,
  snapshot: 4,
  conversion: 1,
  launch: 4,
  cleanup: 2,
} as const

/** The name of a queue. */
export type QueueName = keyof typeof queueConcurrency

export const queueNames = Object.keys(queueConcurrency) as QueueName[]

/** Prefix of all queue keys in Redis. The hash tag keeps them in one slot of a Redis Cluster. */
export const queuePrefix = '{rehost}'
