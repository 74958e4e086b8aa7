/**
 * From what the agent measures in a first copy or a rescan to what the operator is told: a disk that is written to while it is copied over a slow
 * link, second by second.
 * @module
 */
import { describe, expect, it } from 'vitest'
import type { DataReplicationError } from '../../../domain/replication.ts'
import { DiskSync } from '../../../agent/sync/disk_sync.ts'
import { Meter } from '../../../agent/sync/meter.ts'
import { Progress } from '../../../agent/sync/progress.ts'
import { reportDisk } from '../../../agent/sync/replication_report.ts'
import { convergenceError } from '../../../domain/convergence.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { FakeClock } from './fake_clock.ts'
import { MemorySource, stillTracker } from './memory_disk.ts'

/** 16 GiB. */
const blockCount = 262_144

/** Blocks a second that the link carries: 10 MB/s. */
const linkBlocks = 160

/** What happens in a second. */
interface Second {
  /** Blocks written, one after the other and round again. */
  writes: number
  /** Of the disk, how many blocks are written at all. */
  hotBlocks: number
  /** Blocks that a comparison comes on by, when nothing waits to be sent. */
  comparedBlocks: number
}

class SlowCopy {
  readonly #clock = new FakeClock()
  readonly #progress = new Progress(this.#clock, new Meter(this.#clock))
  readonly #disk: DiskSync
  readonly #state: 'INITIAL_SYNC' | 'RESCAN'
  #acknowledgedBytes = 0
  #written = 0
  #swept = 0
  error: DataReplicationError | undefined
  /** Seconds after which it began to be said, or no longer was. */
  readonly changes: number[] = []
  #seconds = 0

  constructor(mode: 'BLANK' | 'COMPARE') {
    const source = new MemorySource('/dev/disk0', new Uint8Array(0))
    const sizeBytes = blockCount * blockSizeBytes
    this.#disk = new DiskSync({ diskIndex: 0, volumeId: 'vol-0', sizeBytes, source, tracker: stillTracker })
    this.#disk.learnContents(mode === 'BLANK' ? 'EMPTY' : 'PARTIAL', mode === 'COMPARE', this.#clock.now)
    this.#state = mode === 'BLANK' ? 'INITIAL_SYNC' : 'RESCAN'
    this.#progress.setConnected(true)
  }

  get isOver(): boolean {
    return this.#disk.scan === undefined
  }

  run(seconds: number, second: Second): void {
    for (let count = 0; count < seconds && !this.isOver; count++) this.#run(second)
  }

  #run({ writes, hotBlocks, comparedBlocks }: Second): void {
    const { dirty, scan } = this.#disk
    for (let count = 0; count < writes; count++) dirty.mark(this.#written++ % hotBlocks, 1)
    this.#progress.changed(writes * blockSizeBytes)
    if (scan?.mode === 'BLANK') {
      dirty.clear(scan.cursor, linkBlocks)
      scan.cursor = Math.min(blockCount, scan.cursor + linkBlocks)
      this.#acknowledgedBytes += linkBlocks * blockSizeBytes
    } else if (scan !== undefined) {
      // What is dirty goes first, all of it, before the comparison comes on.
      for (let left = linkBlocks; left > 0 && dirty.count > 0;) {
        const [run] = dirty.extents(this.#swept, left)
        this.#swept = run === undefined ? 0 : run.firstBlock + run.blockCount
        if (run === undefined) continue
        left -= run.blockCount
        dirty.clear(run.firstBlock, run.blockCount)
        this.#acknowledgedBytes += run.blockCount * blockSizeBytes
      }
      if (dirty.count < linkBlocks) scan.cursor = Math.min(blockCount, scan.cursor + comparedBlocks)
    }
    if (scan?.cursor === blockCount) this.#disk.finishScan(this.#clock.now)
    this.#clock.now += 1000
    this.#seconds += 1
    const disks = [this.#disk]
    const reports = [reportDisk(this.#disk, 0)]
    const sent = {
      acknowledgedBytes: () => this.#acknowledgedBytes,
      leftOutBytes: () => 0,
      bytesOnTheWay: () => 0,
    }
    this.#progress.measure(disks, sent)
    const { pace } = this.#progress.report(this.#state, disks, reports)
    const error = convergenceError(this.#state, pace, this.error)
    if ((error === undefined) !== (this.error === undefined)) this.changes.push(this.#seconds)
    this.error = error
  }
}

const quiet: Second = { writes: 10, hotBlocks: 1000, comparedBlocks: 2000 }

it('counts as durable what was written and is there already', () => {
  const clock = new FakeClock()
  const meter = new Meter(clock)
  const progress = new Progress(clock, meter)
  const source = new MemorySource('/dev/disk0', new Uint8Array(0))
  const sizeBytes = blockCount * blockSizeBytes
  const disk = new DiskSync({ diskIndex: 0, volumeId: 'vol-0', sizeBytes, source, tracker: stillTracker })
  progress.setConnected(true)
  let [changed, leftOut] = [0, 0]
  for (let second = 0; second < 400; second++) {
    progress.changed(linkBlocks * blockSizeBytes)
    changed += linkBlocks * blockSizeBytes
    leftOut += (linkBlocks / 2) * blockSizeBytes
    clock.now += 1000
    progress.measure([disk], {
      acknowledgedBytes: () => changed - leftOut,
      leftOutBytes: () => leftOut,
      bytesOnTheWay: () => 0,
    })
  }
  const { pace } = progress.report('CREATING_SNAPSHOT', [disk], [reportDisk(disk, 0)])
  expect((pace?.durableBytesPerSecond ?? 0) / (pace?.changedBytesPerSecond ?? 0)).toBeCloseTo(1)
})

describe('that a first copy or a rescan does not come to its end', () => {
  it('is said when more is written than the link carries, with the figures, and taken back when all is marked already', () => {
    const copy = new SlowCopy('BLANK')
    copy.run(700, quiet)
    const busy = { ...quiet, writes: 2 * linkBlocks, hotBlocks: 100_000 }
    copy.run(120, busy)
    expect(copy.error).toBeUndefined()
    copy.run(180, busy)
    // Of 262,144 blocks 160,000 were copied, and of these 96,000 have changed.
    expect(copy.error?.rawError).toBe(
      'Blocks change at 20.9 MB/s, and 10.5 MB/s of them become durable in the replica, over the last 5 minutes; ' +
        '13.0 GB are left to copy, and do not become less',
    )
    // Soon the same blocks are written again: each is sent once, at the end.
    copy.run(300, busy)
    expect(copy.error).toBeUndefined()
    expect(copy.changes).toHaveLength(2)
    copy.run(10_000, busy)
    expect(copy.isOver).toBe(true)
    expect(copy.changes).toHaveLength(2)
  })

  it('is said of a comparison that does not come on because of changes, and taken back when they become fewer', () => {
    const copy = new SlowCopy('COMPARE')
    copy.run(30, quiet)
    const busy = { ...quiet, writes: 2 * linkBlocks, hotBlocks: 50_000 }
    copy.run(900, busy)
    expect(copy.error?.rawError).toMatch(
      /^Blocks change at 20\.9 MB\/s, and 10\.5 MB\/s of them .* 5 minutes; \d+\.\d GB are left/,
    )
    expect(copy.changes).toHaveLength(1)
    copy.run(400, quiet)
    expect(copy.error).toBeUndefined()
    expect(copy.changes).toHaveLength(2)
  })

  it('is not said while what changes is not copied yet: it goes with the rest', () => {
    const copy = new SlowCopy('BLANK')
    copy.run(600, { ...quiet, writes: 2 * linkBlocks, hotBlocks: blockCount })
    expect(copy.changes).toEqual([])
  })

  it.each(['BLANK', 'COMPARE'] as const)('is not said for a minute of many writes: %s', (mode) => {
    const copy = new SlowCopy(mode)
    copy.run(60, { ...quiet, writes: 4 * linkBlocks, hotBlocks: 100_000 })
    copy.run(10_000, quiet)
    expect(copy.isOver).toBe(true)
    expect(copy.changes).toEqual([])
  })

  it('is not said while the link carries all that changes and reading the disk takes long', () => {
    const copy = new SlowCopy('COMPARE')
    copy.run(1200, { writes: linkBlocks - 10, hotBlocks: 50_000, comparedBlocks: 1 })
    expect(copy.changes).toEqual([])
  })
})
