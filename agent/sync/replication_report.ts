/**
 * How replication stands, in figures.
 * @module
 */
import type { DataReplicationError, DataReplicationState } from '../../domain/replication.ts'
import type { PointOutcome } from '../../domain/point_figures.ts'
import type { Status } from '../../wire/message.ts'
import type { DiskSync } from './disk_sync.ts'
import type { ProgressReport } from './progress.ts'
import type { VerificationReport } from './verification.ts'
import { blockSizeBytes } from '../../domain/units.ts'

/** A disk's figures. */
export interface DiskReport {
  diskIndex: number
  sizeBytes: number
  /** Part of the copy that is whole: of the first one while that goes on, afterwards all that is not outstanding. */
  replicatedBytes: number
  rescannedBytes: number
  scannedBytes: number
  /** Changed or not yet copied, and not durable at the other end. */
  backlogBytes: number
  rescans: number
  tracker: { kind: string; reason: string }
}

/** The whole. */
export interface EngineReport extends ProgressReport {
  state: DataReplicationState
  isConnected: boolean
  firstByteAtMs: number | undefined
  lastConsistentAtMs: number | undefined
  lagMs: number | null
  backlogBytes: number
  bytesPerSecond: number
  sentBytes: number
  rescanEpoch: number
  disks: DiskReport[]
  /** Why copies and comparisons read slowly now, in a sentence. */
  readingSlowed: string | undefined
  consistencyFailure: { consistencyPointId: string; reason: string } | undefined
  /** What became of consistency points, as far as the gateway has not heard of it. */
  pointOutcomes: PointOutcome[]
  verification: VerificationReport | undefined
  error: DataReplicationError | undefined
}

/** A disk's figures; `bytesOnTheWay` are sent and not acknowledged. */
export function reportDisk(disk: DiskSync, bytesOnTheWay: number): DiskReport {
  const known = disk.dirty.bytes + disk.bytesInHand + bytesOnTheWay + disk.tracker.waitingBytes
  const unscanned = disk.isKnown ? disk.unscannedBlocks : disk.blockCount
  const backlogBytes = Math.min(disk.sizeBytes, known + (unscanned + disk.unreadableCount) * blockSizeBytes)
  return {
    diskIndex: disk.diskIndex,
    sizeBytes: disk.sizeBytes,
    replicatedBytes: disk.sizeBytes - backlogBytes,
    rescannedBytes: disk.rescans > 0 ? disk.scannedBytes : 0,
    scannedBytes: disk.scannedBytes,
    backlogBytes,
    rescans: disk.rescans,
    tracker: { kind: disk.tracker.kind, reason: disk.tracker.reason },
  }
}

/** The figures that the replicator is told. */
export function statusOf({ state, backlogBytes, lagMs, disks }: EngineReport): Status {
  return {
    state,
    backlogBytes,
    lagMs,
    disks: disks.map(({ diskIndex, scannedBytes, backlogBytes: ownBytes, rescans }) => ({
      diskIndex,
      scannedBytes,
      backlogBytes: ownBytes,
      rescans,
    })),
  }
}
