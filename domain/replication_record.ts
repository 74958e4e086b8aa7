/**
 * The record of a server's initial replication: what was copied, how long it took, over what link. Made once, in the write that makes the server
 * ready for test for the first time, so that nothing that changes later (the throttle, the disks) changes it.
 * @module
 */
import type { DiskUsage } from './source_properties.ts'

/** One disk of it. Times are those of the reports that told of them: seconds late at most. */
export interface RecordedDisk {
  deviceName: string
  sizeBytes: number
  isBootDisk: boolean
  /** When the first of its bytes was seen in the replica. */
  startedAt?: string
  /** When it was first seen to be copied as a whole; when the server was ready, where that was never seen before. */
  copiedAt?: string
}

/** The record. What is optional is not known of every server. */
export interface ReplicationRecord {
  sourceServerId: string
  hostname: string
  /** Absent where nothing ever had to be sent. */
  replicationStartedAt?: string
  /** To the second, as the event says it. */
  readyForTestAt: string
  /** Whole minutes. */
  initialReplicationDurationMinutes?: number
  replicatedStorageBytes: number
  /** 0 for no limit. */
  bandwidthThrottlingMbps: number
  replicationServerInstanceType: string
  /** Of the disks: what was copied, over the time it took. */
  averageBytesPerSecond?: number
  /** The same in its fastest stretch of some seconds. */
  peakBytesPerSecond?: number
  /** Payload as it crossed the wire. */
  wireBytes?: number
  peakWireBytesPerSecond?: number
  /** Bytes of blocks that changed at the source meanwhile. */
  changedBytes?: number
  /** Of the time it took, that in which what was allowed held it back, to the second; what was copied of the disks in it. */
  heldBackSeconds?: number
  heldBackBytes?: number
  /** How full the disks were when it began, as far as file systems told: bytes used, of so many. */
  usedBytes?: number
  fileSystemBytes?: number
  /** What was said when the first byte arrived. */
  forecastMinutes?: number
  forecastLowMinutes?: number
  /** Absent where it said that the copy may never end. */
  forecastHighMinutes?: number
  /** It said that the copy never ends; then it said no time. */
  isForecastNever?: true
  /** Of a hundred such intervals so many are meant to hold. */
  forecastCoveragePercent?: number
  disks?: RecordedDisk[]
}

/** A counter that begins at 0 in each run of the agent. */
export interface RunCounter {
  generation: number
  /** As this run reported it last. */
  runBytes: number
  /** Of all runs. */
  totalBytes: number
}

/** What is known of the time in which what was allowed held a copy back. */
export interface HeldBackSum {
  /** Of the stretches that are over. */
  seconds: number
  bytes: number
  /** Where the stretch under way began, and what is allowed in it: bytes a second, null for no limit. */
  since: { at: string; replicatedBytes: number; wireBytes: number; allowed: number | null }
}

/** What is collected while the first copy goes on. */
export interface SyncFigures {
  wire: RunCounter
  /** Absent while no agent has counted it. */
  changed?: RunCounter
  /** Where the stretch under way began. */
  mark: { at: string; replicatedBytes: number; wireBytes: number }
  peakBytesPerSecond: number
  peakWireBytesPerSecond: number
  /** How full the disks were at the beginning, or when that was first known. */
  usage?: DiskUsage
  /** Absent where nobody said what is allowed. */
  heldBack?: HeldBackSum
  disks: { diskIndex: number; startedAt?: string; copiedAt?: string }[]
}

/** What becomes of a server's record: figures are collected, the record waits to be written, it is written. */
export type InitialReplication =
  | { state: 'COPYING'; figures: SyncFigures }
  | { state: 'READY'; record: ReplicationRecord }
  | { state: 'RECORDED'; recordedAt: string }
