import { describe, expect, it } from 'vitest'
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import { UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { coverageOf } from '../../../agent/sync/certainty.ts'
import { DiskSync } from '../../../agent/sync/disk_sync.ts'
import { reportDisk } from '../../../agent/sync/replication_report.ts'
import type { Tracker } from '../../../agent/tracking/tracker.ts'

const blocks = 100
const sizeBytes = blocks * 65_536 - 512

function makeDisk(needsPasses = false): DiskSync {
  const source = { deviceName: '/dev/test', sizeBytes } as BlockSource
  const tracker = {
    kind: needsPasses ? 'scan' : 'tracefs',
    reason: 'r',
    needsPasses,
    waitingBytes: 0,
  } as Tracker
  return new DiskSync({ diskIndex: 0, volumeId: 'vol-0', sizeBytes, source, tracker })
}

/** Brings a scan to its end. */
function finish(disk: DiskSync, nowMs: number): void {
  if (disk.scan !== undefined) disk.scan.cursor = disk.blockCount
  disk.finishScan(nowMs)
}

describe('DiskSync', () => {
  it('begins by what the volume holds', () => {
    const begin = (contents: 'EMPTY' | 'PARTIAL', wasComplete: boolean) => {
      const disk = makeDisk()
      expect(disk.learnContents(contents, wasComplete, 5)).toBe(false)
      return disk.scan
    }
    expect(begin('EMPTY', false)).toMatchObject({
      mode: 'BLANK',
      purpose: 'INITIAL',
      cursor: 0,
      startedAtMs: 5,
    })
    expect(begin('EMPTY', true)).toMatchObject({ mode: 'BLANK', purpose: 'INITIAL' })
    expect(begin('PARTIAL', false)).toMatchObject({ mode: 'COMPARE', purpose: 'INITIAL' })
    expect(begin('PARTIAL', true)).toMatchObject({ mode: 'COMPARE', purpose: 'RESCAN' })
  })

  it('goes on where it was at the next session', () => {
    const disk = makeDisk()
    disk.learnContents('EMPTY', false, 5)
    if (disk.scan !== undefined) disk.scan.cursor = 40
    expect(disk.learnContents('EMPTY', false, 6)).toBe(false)
    expect(disk.learnContents('PARTIAL', false, 7)).toBe(false)
    expect(disk.scan).toMatchObject({ mode: 'BLANK', cursor: 40 })
  })

  it('is compared a second after its first copy, however long that took, and then for a quarter of the time', () => {
    const disk = makeDisk(true)
    disk.learnContents('EMPTY', false, 0)
    expect(disk.isPassDue(50_000)).toBe(false)
    finish(disk, 3_600_000)
    expect(disk.isPassDue(3_600_999)).toBe(false)
    expect(disk.isPassDue(3_601_000)).toBe(true)
    disk.beginScan('COMPARE', 'PASS', 3_601_000)
    expect(disk.isPassDue(3_700_000)).toBe(false)
    // Of half an hour it was worked on for ten seconds: the connection was away.
    if (disk.scan !== undefined) disk.scan.walkedMs = 10_000
    finish(disk, 5_400_000)
    expect(disk.isPassDue(5_429_999)).toBe(false)
    expect(disk.isPassDue(5_430_000)).toBe(true)
    disk.loseCertainty(5_430_000)
    finish(disk, 9_000_000)
    expect(disk.isPassDue(9_001_000)).toBe(true)
    const tracked = makeDisk()
    tracked.learnContents('EMPTY', false, 0)
    finish(tracked, 1)
    expect(tracked.isPassDue(9_000_000)).toBe(false)
  })

  it('has its last block, which was short, and what is new to copy when it grows', () => {
    const disk = makeDisk()
    disk.learnContents('PARTIAL', true, 1)
    finish(disk, 2)
    const whole = disk.lastScan
    disk.grow(sizeBytes + 512 + 65_536, 3)
    expect(disk.blockCount).toBe(blocks + 1)
    expect(disk.scan).toMatchObject({ mode: 'COMPARE', purpose: 'INITIAL', cursor: blocks - 1 })
    expect(disk.isInitialSyncDone).toBe(false)
    expect(disk.dirty.count).toBe(0)
    expect(reportDisk(disk, 0).backlogBytes).toBe(2 * 65_536)
    disk.dirty.mark(blocks, 1)
    expect(disk.dirty.has(blocks)).toBe(true)
    finish(disk, 4)
    expect(disk.isInitialSyncDone).toBe(true)
    // It says nothing of the rest of the disk.
    expect(disk.lastScan).toBe(whole)
  })

  it('goes on with the first copy under way when it grows, to the new end', () => {
    const disk = makeDisk()
    disk.learnContents('EMPTY', false, 1)
    if (disk.scan !== undefined) disk.scan.cursor = 40
    disk.grow(sizeBytes + 65_536, 3)
    expect(disk.scan).toMatchObject({ mode: 'BLANK', cursor: 40, attemptedEnd: disk.blockCount })
    expect(disk.dirty.count).toBe(0)
    if (disk.scan !== undefined) disk.scan.cursor = disk.blockCount
    disk.grow(sizeBytes + 2 * 65_536, 4)
    // Its last block was short and is done.
    expect([...disk.dirty.extents(0, 9)]).toEqual([{ firstBlock: blocks, blockCount: 1 }])
  })

  it('begins anew when the volume has lost what was durable', () => {
    const disk = makeDisk()
    disk.learnContents('EMPTY', false, 5)
    finish(disk, 6)
    disk.hasDurableBlocks = true
    disk.dirty.mark(3, 1)
    expect(disk.learnContents('EMPTY', true, 7)).toBe(true)
    expect(disk.scan).toMatchObject({ mode: 'BLANK', purpose: 'INITIAL', cursor: 0 })
    expect(disk.isInitialSyncDone).toBe(false)
  })

  it.each(['during', 'after'])(
    'begins anew when the volume was emptied %s a comparison that sent nothing',
    (moment) => {
      const disk = makeDisk()
      disk.learnContents('PARTIAL', true, 5)
      if (disk.scan !== undefined) disk.scan.cursor = 40
      if (moment === 'after') finish(disk, 6)
      expect(disk.learnContents('EMPTY', true, 7)).toBe(true)
      expect(disk.scan).toMatchObject({ mode: 'BLANK', purpose: 'INITIAL', cursor: 0 })
      expect(disk.isInitialSyncDone).toBe(false)
      expect(disk.learnContents('EMPTY', false, 8)).toBe(false)
    },
  )

  it('compares everything after a loss of certainty, in the first copy too', () => {
    const disk = makeDisk()
    disk.loseCertainty(1)
    expect(disk.scan).toBeUndefined()
    disk.learnContents('EMPTY', false, 5)
    disk.loseCertainty(6)
    expect(disk.scan).toMatchObject({ mode: 'COMPARE', purpose: 'INITIAL', cursor: 0 })
    expect(disk.rescans).toBe(0)
    finish(disk, 7)
    disk.loseCertainty(8)
    expect(disk.scan).toMatchObject({ mode: 'COMPARE', purpose: 'RESCAN' })
    expect(disk.rescans).toBe(1)
  })

  it('counts what is outstanding', () => {
    const disk = makeDisk()
    expect(reportDisk(disk, 0)).toMatchObject({ backlogBytes: sizeBytes, replicatedBytes: 0 })
    disk.learnContents('EMPTY', false, 5)
    if (disk.scan !== undefined) disk.scan.cursor = 40
    disk.dirty.mark(0, 2)
    disk.bytesInHand = 3 * 65_536
    expect(reportDisk(disk, 5 * 65_536).backlogBytes).toBe((60 + 2 + 3 + 5) * 65_536)
    finish(disk, 6)
    disk.dirty.clear(0, 2)
    disk.bytesInHand = 0
    expect(reportDisk(disk, 0)).toMatchObject({
      backlogBytes: 0,
      replicatedBytes: sizeBytes,
      scannedBytes: sizeBytes,
    })
  })

  it('knows the length of its short last block', () => {
    expect(makeDisk().lengthOf({ firstBlock: 98, blockCount: 2 })).toBe(2 * 65_536 - 512)
    expect(makeDisk().lengthOf({ firstBlock: 98, blockCount: 1 })).toBe(65_536)
  })

  it('tries unreadable blocks again from time to time', () => {
    const disk = makeDisk()
    const error = new UnreadableSectorError('/dev/test', 0)
    expect(disk.markUnreadable(4, error, 0)).toBe(true)
    expect(disk.markUnreadable(4, error, 10)).toBe(false)
    disk.retryUnreadable(1000)
    expect(disk.dirty.count).toBe(0)
    disk.retryUnreadable(40_000)
    expect(disk.dirty.has(4)).toBe(true)
    disk.markReadable({ firstBlock: 0, blockCount: 8 })
    expect(disk.unreadable).toBeUndefined()
  })
})

describe('coverageOf()', () => {
  it('covers the moment the trackers were asked, once everything was scanned and can be read', () => {
    const disk = makeDisk()
    disk.learnContents('EMPTY', false, 5)
    expect(coverageOf([disk], 100)).toBeUndefined()
    finish(disk, 50)
    expect(coverageOf([disk], 100)).toBe(100)
    disk.markUnreadable(1, new UnreadableSectorError('/dev/test', 0), 0)
    expect(coverageOf([disk], 100)).toBeUndefined()
  })

  it('covers a disk without a tracker only from the begin of its last pass', () => {
    const disk = makeDisk(true)
    disk.learnContents('EMPTY', false, 5)
    finish(disk, 50)
    expect(coverageOf([disk], 100)).toBe(5)
    disk.beginScan('COMPARE', 'PASS', 60)
    expect(coverageOf([disk], 100)).toBe(5)
    finish(disk, 90)
    expect(coverageOf([disk, makeFinished()], 100)).toBe(60)
  })
})

function makeFinished(): DiskSync {
  const disk = makeDisk()
  disk.learnContents('EMPTY', false, 5)
  finish(disk, 6)
  return disk
}
