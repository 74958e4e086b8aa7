/**
 * What the engine measures of its own progress: how long it still takes, and whether it can catch up at all.
 * @module
 */
import type { DataReplicationState } from '../../domain/replication.ts'
import type { Clock } from '../clock.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Meter } from './meter.ts'
import type { PaceReport } from './pace.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { Pace } from './pace.ts'
import { TimeLeft } from './time_left.ts'

/** States in which there is an end to wait for. */
const ending: readonly DataReplicationState[] = ['INITIAL_SYNC', 'RESCAN', 'BACKLOG']

/** Both estimates. */
export interface ProgressReport {
  timeLeftMs: number | null
  /** Undefined while it would say nothing: without a connection, while nothing may be sent, and while disks are walked over. */
  pace: PaceReport | undefined
}

function scannedBytesOf(disks: readonly DiskSync[]): number {
  return disks.reduce((sum, disk) => sum + disk.scannedBytes, 0)
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
  #acknowledgedBytes = 0

  constructor(clock: Clock, meter: Meter) {
    this.#clock = clock
    this.#meter = meter
    this.#pace = new Pace(clock)
  }

  /** A session begins, or is over. */
  setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected
    this.#acknowledgedBytes = 0
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
    this.#pace.changed(bytes)
  }

  /** About once a second during a session: the disks, and the bytes that have become durable since it began. */
  measure(disks: readonly DiskSync[], acknowledgedBytes: number): void {
    this.#pace.durable(acknowledgedBytes - this.#acknowledgedBytes)
    this.#acknowledgedBytes = acknowledgedBytes
    this.#timeLeft.add({
      atMs: this.#clock.monotonicMs(),
      scannedBytes: scannedBytesOf(disks),
      sentBytes: this.#meter.totalBytes,
    })
  }

  /** How it stands. */
  report(
    state: DataReplicationState,
    disks: readonly DiskSync[],
    reports: readonly { backlogBytes: number }[],
  ): ProgressReport {
    if (!this.#isConnected || this.#isOff) return { timeLeftMs: null, pace: undefined }
    const isScanning = disks.some((disk) => disk.scan !== undefined && disk.scan.purpose !== 'PASS')
    const pace = this.#pace.report()
    const unscanned = disks.reduce((sum, disk) => sum + disk.unscannedBlocks * blockSizeBytes, 0)
    const backlog = reports.reduce((sum, disk) => sum + disk.backlogBytes, 0)
    const sizes = disks.reduce((sum, disk) => sum + disk.sizeBytes, 0)
    const left = {
      unscannedBytes: sizes - scannedBytesOf(disks),
      outstandingBytes: Math.max(0, backlog - unscanned),
      changedBytesPerMs: pace.changedBytesPerSecond / 1000,
    }
    return {
      timeLeftMs: ending.includes(state) ? this.#timeLeft.leftMs(left) : null,
      pace: isScanning ? undefined : pace,
    }
  }

  #startAnew(): void {
    this.#pace.reset()
    this.#timeLeft.interrupt()
  }
}
