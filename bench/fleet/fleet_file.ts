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

/** What the process measured. */
export interface HeartbeatResult {
  /** Milliseconds from the moment at which each heartbeat was due to its answer. */
  milliseconds: number[]
  /** Answers that were no success. */
  failures: number
  /** Heartbeats that were due. */
  due: number
}
