/**
 * What the engine measures of its own progress: how long it still takes, and whether it can catch up at all.
 * @module
 */
import type { MeasuredPace } from '../../domain/convergence.ts'
import type { DataReplicationState } from '../../domain/replication.ts'
import type { Clock } from '../clock.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Meter } from './meter.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { Pace } from './pace.ts'
import { TimeLeft } from './time_left.ts'

/** States in which there is an end to wait for. */
const ending: readonly DataReplicationState[] = ['INITIAL_SYNC', 'RESCAN', 'BACKLOG']

/** Both estimates. */
export interface ProgressReport {
  timeLeftMs: number | null
  /** Undefined while it would say nothing: without a connection, and while nothing may be sent. */
  pace: MeasuredPace | undefined
  /** Of blocks that were found changed since the agent started. */
  changedBytes: number
}

function scannedBytesOf(disks: readonly DiskSync[]): number {
  return disks.reduce((sum, disk) => sum + disk.scannedBytes, 0)
}

function sizeOf(disks: readonly DiskSync[]): number {
  return disks.reduce((sum, disk) => sum + disk.sizeBytes, 0)
}

/** What the session has sent. */
export interface Sent {
  /** Bytes that have become durable since it began. */
  acknowledgedBytes(): number
  /** Bytes that changed and need not be sent: the replicator has them. */
  leftOutBytes(): number
  /** Bytes of a disk that are sent and not durable yet. */
  bytesOnTheWay(diskIndex: number): number
}

/**
 * What is left of the scans under way; undefined while there is none. A changed block that a scan has yet to come to is left once: it is sent with
 * the others then, or found to be the same if it was sent before.
 */
function restOf(disks: readonly DiskSync[], sent: Sent): { bytes: number; waitingBytes: number } | undefined {
  if (!disks.some(({ scan }) => scan !== undefined && scan.purpose !== 'PASS')) return undefined
  const rest = { bytes: sizeOf(disks) - scannedBytesOf(disks), waitingBytes: 0 }
  for (const disk of disks) {
    const { dirty, scan, bytesInHand, tracker, diskIndex, blockCount } = disk
    const others = bytesInHand + tracker.waitingBytes + sent.bytesOnTheWay(diskIndex)
    const cursor = scan === undefined || scan.purpose === 'PASS' ? blockCount : scan.cursor
    rest.bytes += dirty.bytesBefore(cursor) + others
    rest.waitingBytes += dirty.bytes + others
  }
  return rest
}

/** Follows one session after the other. */
export class Progress {
  readonly #clock: Clock
  readonly #meter: Meter
  readonly #pace: Pace
  readonly #timeLeft = new TimeLeft()
  #limit = ''
  #isOff = false
  #isConnected = false
  #durableBytes = 0
  #scannedBytes = 0
  #sizeBytes = 0
  #changedBytes = 0

  constructor(clock: Clock, meter: Meter) {
    this.#clock = clock
    this.#meter = meter
    this.#pace = new Pace(clock)
  }

  /** A session begins, or is over. */
  setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected
    this.#durableBytes = 0
    this.#startAnew()
  }

  /** The limit as it is now. Speeds under another one say nothing any more. */
  setLimit(bitsPerSecond: number, isOff: boolean): void {
    const limit = `${bitsPerSecond} ${isOff}`
    if (limit === this.#limit) return
    this.#limit = limit
    this.#isOff = isOff
    this.#startAnew()
  }

  /** Bytes that the trackers, or a pass, found changed. */
  changed(bytes: number): void {
    this.#changedBytes += bytes
    this.#pace.changed(bytes)
  }

  /** About once a second during a session. */
  measure(disks: readonly DiskSync[], sent: Sent): void {
    const scannedBytes = scannedBytesOf(disks)
    const sizeBytes = sizeOf(disks)
    // Another scan has begun, or the disks are others: what is left now says nothing beside what was left before.
    if (scannedBytes < this.#scannedBytes || sizeBytes !== this.#sizeBytes) this.#pace.reset()
    this.#scannedBytes = scannedBytes
    this.#sizeBytes = sizeBytes
    // What changed and need not be sent is as good as durable, and as dealt with as what is sent.
    const durableBytes = sent.acknowledgedBytes() + sent.leftOutBytes()
    this.#pace.durable(durableBytes - this.#durableBytes)
    this.#durableBytes = durableBytes
    this.#pace.left(restOf(disks, sent))
    this.#timeLeft.add({
      atMs: this.#clock.monotonicMs(),
      scannedBytes,
      sentBytes: this.#meter.totalBytes + sent.leftOutBytes(),
    })
  }

  /** How it stands. */
  report(
    state: DataReplicationState,
    disks: readonly DiskSync[],
    reports: readonly { backlogBytes: number }[],
  ): ProgressReport {
    if (!this.#isConnected || this.#isOff)
      return { timeLeftMs: null, pace: undefined, changedBytes: this.#changedBytes }
    const pace = this.#pace.report()
    const unscanned = disks.reduce((sum, disk) => sum + disk.unscannedBlocks * blockSizeBytes, 0)
    const backlog = reports.reduce((sum, disk) => sum + disk.backlogBytes, 0)
    const left = {
      unscannedBytes: sizeOf(disks) - scannedBytesOf(disks),
      outstandingBytes: Math.max(0, backlog - unscanned),
      changedBytesPerMs: pace.changedBytesPerSecond / 1000,
    }
    return {
      timeLeftMs: ending.includes(state) ? this.#timeLeft.leftMs(left) : null,
      pace,
      changedBytes: this.#changedBytes,
    }
  }

  #startAnew(): void {
    this.#pace.reset()
    this.#timeLeft.interrupt()
  }
}
