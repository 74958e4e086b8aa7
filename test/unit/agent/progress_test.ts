import { describe, expect, it } from 'vitest'
import { Meter } from '../../../agent/sync/meter.ts'
import { Pace } from '../../../agent/sync/pace.ts'
import { Progress } from '../../../agent/sync/progress.ts'
import { TimeLeft } from '../../../agent/sync/time_left.ts'
import { seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk } from './memory_disk.ts'

const gib = 2 ** 30
const mb = 1e6

/** A disk of pieces, each data or zeros, read and sent at these speeds (bytes a millisecond). */
interface World {
  pieces: boolean[]
  pieceBytes: number
  readPerMs: number
  sendPerMs: number
}

/** Copies the disk and answers at each second what was estimated and what was true. */
function copy({
  pieces,
  pieceBytes,
  readPerMs,
  sendPerMs,
}: World): { share: number; saidMs: number | null; trueMs: number }[] {
  const timeLeft = new TimeLeft()
  const total = pieces.length * pieceBytes
  const seen: { share: number; saidMs: number | null; atMs: number }[] = []
  let [atMs, scannedBytes, sentBytes] = [0, 0, 0]
  timeLeft.add({ atMs, scannedBytes, sentBytes })
  for (const isData of pieces) {
    const second = Math.floor(atMs / 1000)
    atMs += pieceBytes / readPerMs + (isData ? pieceBytes / sendPerMs : 0)
    scannedBytes += pieceBytes
    sentBytes += isData ? pieceBytes : 0
    if (Math.floor(atMs / 1000) === second) continue
    timeLeft.add({ atMs, scannedBytes, sentBytes })
    const left = { unscannedBytes: total - scannedBytes, outstandingBytes: 0, changedBytesPerMs: 0 }
    seen.push({ share: scannedBytes / total, saidMs: timeLeft.leftMs(left), atMs })
  }
  return seen.map(({ share, saidMs, atMs: at }) => ({ share, saidMs, trueMs: atMs - at }))
}

describe('TimeLeft', () => {
  it('is close to what it then takes, wherever the zeros lie, and does not take zeros for a fast link', () => {
    const seed = seedFor('time left')
    const random = seededRandom(seed)
    for (let round = 0; round < 8; round++) {
      const dataShare = 0.3 + 0.6 * random()
      // Runs of some megabytes to some hundred, as files and free space lie on a disk.
      const pieces: boolean[] = []
      while (pieces.length < 2000) {
        const isData = random() < dataShare
        for (let count = 1 + Math.floor(random() * 8); count > 0; count--) pieces.push(isData)
      }
      const world = {
        pieces,
        pieceBytes: 16 * 2 ** 20,
        readPerMs: 500_000 + 1e6 * random(),
        sendPerMs: 10_000 + 100_000 * random(),
      }
      for (const { share, saidMs, trueMs } of copy(world)) {
        // What lies in the last pieces is chance, whatever was learned from those before.
        if (share < 0.3 || share > 0.95 || trueMs < 30_000) continue
        const where = `seed ${seed}, round ${round}, at ${share.toFixed(2)}`
        expect(saidMs, where).not.toBeNull()
        expect((saidMs ?? 0) / trueMs, where).toBeGreaterThan(0.4)
        expect((saidMs ?? 0) / trueMs, where).toBeLessThan(2.5)
      }
    }
  })

  it('is exact where all of the disk is alike', () => {
    const pieces = Array.from({ length: 2000 }, () => true)
    for (const { saidMs, trueMs, share } of copy({
      pieces,
      pieceBytes: 16 * 2 ** 20,
      readPerMs: 1e6,
      sendPerMs: 1e5,
    }))
      if (share > 0.05 && trueMs > 5000) expect((saidMs ?? 0) / trueMs).toBeCloseTo(1, 1)
  })

  it('is unknown before anything was measured, while nothing moves, and after an interruption', () => {
    const timeLeft = new TimeLeft()
    const left = { unscannedBytes: gib, outstandingBytes: 0, changedBytesPerMs: 0 }
    expect(timeLeft.leftMs(left)).toBeNull()
    for (let second = 0; second <= 10; second++)
      timeLeft.add({ atMs: second * 1000, scannedBytes: second * 10 * mb, sentBytes: second * 10 * mb })
    expect(timeLeft.leftMs(left)).toBeCloseTo((gib / (10 * mb)) * 1000, -3)
    for (let second = 11; second <= 71; second++)
      timeLeft.add({ atMs: second * 1000, scannedBytes: 100 * mb, sentBytes: 100 * mb })
    expect(timeLeft.leftMs(left)).toBeNull()
    timeLeft.interrupt()
    expect(timeLeft.leftMs(left)).toBeNull()
    expect(timeLeft.leftMs({ ...left, unscannedBytes: 0 })).toBe(0)
  })

  it('counts what changes meanwhile, and is unknown when that is more than is sent', () => {
    const timeLeft = new TimeLeft()
    for (let second = 0; second <= 20; second++)
      timeLeft.add({ atMs: second * 1000, scannedBytes: 0, sentBytes: second * 10 * mb })
    const left = (changed: number) =>
      timeLeft.leftMs({
        unscannedBytes: 0,
        outstandingBytes: 100 * mb,
        changedBytesPerMs: (changed * mb) / 1000,
      })
    expect(left(0)).toBeCloseTo(10_000, -3)
    expect(left(5)).toBeCloseTo(20_000, -3)
    expect(left(10)).toBeNull()
    expect(left(50)).toBeNull()
  })
})

describe('Progress', () => {
  const sent = { acknowledgedBytes: () => 0, leftOutBytes: () => 0, bytesOnTheWay: () => 5 * 65_536 }

  it('says what is left of a scan, each changed block once, and by how much that becomes less', () => {
    const clock = new FakeClock()
    const progress = new Progress(clock, new Meter(clock))
    const { disk } = memoryDisk(0, 100)
    disk.learnContents('PARTIAL', true, clock.now)
    progress.setConnected(true)
    const measure = (cursor: number) => {
      if (disk.scan !== undefined) disk.scan.cursor = cursor
      progress.measure([disk], sent)
      clock.now += 1000
      return progress.report('RESCAN', [disk], []).pace?.rest
    }
    disk.dirty.mark(2, 1)
    disk.dirty.mark(60, 2)
    expect(measure(0)).toEqual({ bytes: 105 * 65_536, waitingBytes: 8 * 65_536, shrinkBytesPerSecond: 0 })
    // Block 2 lies behind the cursor from here on: it has to be sent beside what the scan comes to.
    for (let second = 1; second < 10; second++) measure(5 * second)
    expect(measure(50)).toEqual({
      bytes: (50 + 1 + 5) * 65_536,
      waitingBytes: 8 * 65_536,
      shrinkBytesPerSecond: 4.9 * 65_536,
    })
    // Another scan begins: what was left before it says nothing of it.
    disk.loseCertainty(clock.now)
    expect(measure(0)).toEqual({ bytes: 105 * 65_536, waitingBytes: 8 * 65_536, shrinkBytesPerSecond: 0 })
    expect(progress.report('RESCAN', [disk], []).pace?.measuredMs).toBe(1000)
    if (disk.scan !== undefined) disk.scan.cursor = disk.blockCount
    disk.finishScan(clock.now)
    expect(measure(0)).toBeUndefined()
  })

  it('counts what changed since the agent started, over connections and limits', () => {
    const clock = new FakeClock()
    const progress = new Progress(clock, new Meter(clock))
    progress.changed(65_536)
    progress.setConnected(true)
    progress.changed(4096)
    progress.setLimit(1000, false)
    progress.changed(1)
    expect(progress.report('CONTINUOUS', [], []).changedBytes).toBe(69_633)
    progress.setConnected(false)
    expect(progress.report('STALLED', [], [])).toEqual({
      timeLeftMs: null,
      pace: undefined,
      changedBytes: 69_633,
    })
  })
})

describe('Pace', () => {
  it('measures both speeds over the last five minutes, and anew when told', () => {
    const clock = new FakeClock()
    const pace = new Pace(clock)
    const run = (seconds: number, changed: number, durable: number) => {
      for (let second = 0; second < seconds; second++) {
        pace.changed(changed)
        pace.durable(durable)
        clock.now += 1000
      }
    }
    run(60, 3 * mb, mb)
    expect(pace.report()).toEqual({
      measuredMs: 60_000,
      changedBytesPerSecond: 3 * mb,
      durableBytesPerSecond: mb,
    })
    run(600, mb, 2 * mb)
    const { measuredMs, changedBytesPerSecond, durableBytesPerSecond } = pace.report()
    expect(measuredMs).toBe(300_000)
    expect(changedBytesPerSecond / mb).toBeCloseTo(1, 1)
    expect(durableBytesPerSecond / mb).toBeCloseTo(2, 1)
    pace.reset()
    expect(pace.report()).toEqual({ measuredMs: 0, changedBytesPerSecond: 0, durableBytesPerSecond: 0 })
  })
})
