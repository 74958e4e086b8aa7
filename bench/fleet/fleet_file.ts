/**
 * What the process that plays a fleet of agents is told, in a file.
 * @module
 */

/** An enrolled agent: its own key and certificate, as the gateway issued it. */
export interface EnrolledAgent {
  sourceServerId: string
  keyPem: string
  certificatePem: string
}

/** The agents, and where they call. */
export interface FleetFile {
  gatewayUrl: string
  caPem: string
  /** Of each of an agent's disks. */
  diskSizeBytes: number[]
  agents: EnrolledAgent[]
}

/** Heartbeats that were due in a stretch of time. */
export interface HeartbeatTimes {
  /** Milliseconds from the moment at which each heartbeat was due to its answer, in the order in which they were; of one that failed the most that it could have waited. */
  milliseconds: number[]
  /** Of those, the ones whose answer was no success. */
  failures: number
  /** Of each second in which they were due, the share of the processors' time that the host took from this machine. */
  stolenShares: number[]
}

/** What the process measured. */
export interface HeartbeatResult {
  /** While the agents connect and the gateway warms up. */
  first: HeartbeatTimes
  /** After that. */
  counted: HeartbeatTimes
  /** The longest time for which the process itself did nothing while it counted: an answer that came meanwhile seems late by as much. */
  longestStallMs: number
  /** Share of one core that it used while it counted. */
  coreShare: number
}

/** A heartbeat waits for its answer so long, and counts as so long when it fails. */
export const callTimeoutMs = 10_000

/** What the process says when counting begins, before its result. */
export const countingBegins = 'counting begins'
