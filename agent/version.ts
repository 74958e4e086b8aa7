/**
 * The version of this agent, told to gateway and replicator.
 * @module
 */

/** Version of the agent; the same as the project's. */
export const agentVersion = '0.1.0'
