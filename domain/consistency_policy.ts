/**
 * How a server's consistency points are reached: how often without a launch, for how long writers may be held, and what a hook that fails
 * means. See docs/decisions/0010-consistency-policy.md.
 * @module
 */

/** The policy of one server. */
export interface ConsistencyPolicy {
  /** Minutes from one point to the next; 0 for points of launches only. */
  intervalMinutes: number
  /** File systems are frozen for this long at most; 0 for never, so that a moment without writes is waited for. */
  maxFreezeMs: number
  /** A hook that runs for longer has failed, and is ended. */
  hookTimeoutSeconds: number
  /** From the first pre-freeze hook on, the post-thaw hooks begin after this long at the latest, whatever happens. */
  maxHoldSeconds: number
  /** When a pre-freeze hook fails: no point, or a point that applications were not told of. */
  onHookFailure: 'FAIL' | 'CRASH_CONSISTENT'
}

/** What holds where nobody has set anything. Applications notice seconds. */
export const defaultConsistencyPolicy: ConsistencyPolicy = {
  intervalMinutes: 0,
  maxFreezeMs: 5000,
  hookTimeoutSeconds: 10,
  maxHoldSeconds: 30,
  onHookFailure: 'FAIL',
}

/** What may be set. */
export const consistencyPolicyLimits = {
  intervalMinutes: { least: 0, most: 10_080 },
  maxFreezeMs: { least: 0, most: 60_000 },
  hookTimeoutSeconds: { least: 1, most: 300 },
  maxHoldSeconds: { least: 1, most: 600 },
} as const

/** The policy that holds for a server. */
export function consistencyPolicyOf({
  replicationConfiguration,
}: {
  replicationConfiguration: { consistency?: ConsistencyPolicy }
}): ConsistencyPolicy {
  return replicationConfiguration.consistency ?? defaultConsistencyPolicy
}
