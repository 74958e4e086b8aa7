/**
 * How long silence may last before it means something.
 * @module
 */

/** An agent silent for this long is not there: "last seen" is written every ten seconds while it is. */
export const agentSilenceMs = 60_000

/** A replication server silent for this long is looked at. */
export const replicationServerSilenceMs = 15_000

/** A replication server that runs and is silent for this long does not come back by itself. */
export const replicationServerLostMs = 120_000
