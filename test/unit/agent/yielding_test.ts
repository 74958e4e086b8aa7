import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { DiskLoad, readDiskStatistics } from '../../../agent/disk/disk_load.ts'
import { fullSpeed, nextShare, Yielding } from '../../../agent/sync/yielding.ts'
import { FakeClock } from './fake_clock.ts'

describe('nextShare()', () => {
  const after = (...seen: (number | undefined)[]) =>
    seen.reduce((state, writeMs) => nextShare(state, writeMs), fullSpeed).share

  /** A disk whose writes take `ownMs`, and as much more as the reading is allowed. */
  const onDisk = (ownMs: number, dueToReadingMs: number, seconds: number) => {
    const shares: number[] = []
    let state = fullSpeed
    for (let second = 0; second < seconds; second++) {
      state = nextShare(state, ownMs + dueToReadingMs * state.share)
      shares.push(state.share)
    }
    return shares
  }
  const shareOfTime = (shares: number[]) => shares.reduce((sum, share) => sum + share, 0) / shares.length

  it('gives way at once, in steps as long as they help, and never stops', () => {
    expect(after(21)).toBe(1 / 2)
    const shares = onDisk(2, 500, 100)
    expect([shares[3], shares[4], shares[7], shares[8], shares[99]]).toEqual([
      1 / 2,
      1 / 4,
      1 / 4,
      1 / 8,
      1 / 8,
    ])
  })

  it('does not give way to a disk that is slow by itself, and asks it again each minute', () => {
    const shares = onDisk(40, 10, 600)
    expect(shareOfTime(shares)).toBeGreaterThan(0.95)
    expect(shares.slice(0, 5)).toEqual([1 / 2, 1 / 2, 1 / 2, 1, 1])
    expect(shares.slice(5, 90)).toContain(1 / 2)
  })

  it('gives way to a disk that is slow by itself as far as that helps', () => {
    const shares = onDisk(40, 60, 600)
    expect(shareOfTime(shares)).toBeGreaterThan(0.4)
    expect(shareOfTime(shares)).toBeLessThan(0.65)
    expect(Math.min(...shares)).toBe(1 / 4)
  })

  it('comes back one step for five quiet seconds, and not while writes are neither long nor short', () => {
    const quiet = (seconds: number) => Array<undefined>(seconds).fill(undefined)
    const busy = [200, 99, 99, 99, 99, 15, 15, 15]
    expect(after(...busy)).toBe(1 / 4)
    expect(after(...busy, ...quiet(4))).toBe(1 / 4)
    expect(after(...busy, ...quiet(5))).toBe(1 / 2)
    expect(after(...busy, ...quiet(10))).toBe(1)
    expect(after(...busy, ...quiet(100))).toBe(1)
    expect(after(...busy, ...Array<number>(100).fill(15))).toBe(1 / 4)
    // A disk that is in trouble every few seconds is left alone; it does not flicker.
    expect(after(...Array.from({ length: 40 }, (_, second) => (second % 4 === 0 ? 30 : 1)))).toBe(1 / 8)
  })
})

describe('Yielding', () => {
  it('makes a scan read its share of the time, and says why', () => {
    const clock = new FakeClock()
    const yielding = new Yielding(clock)
    expect(yielding.because).toBeUndefined()
    const readFor = (seconds: number): number => {
      let readMs = 0
      for (const end = clock.now + seconds * 1000; clock.now < end;) {
        if (!yielding.mayRead) {
          clock.now += 10
          continue
        }
        clock.now += 50
        readMs += 50
        yielding.hasRead(50)
      }
      return readMs / (seconds * 1000)
    }
    expect(readFor(10)).toBeCloseTo(1, 1)
    yielding.see({ deviceName: '/dev/sda', writeMs: 41.6 })
    yielding.see({ deviceName: '/dev/sda', writeMs: 12 })
    expect(readFor(10)).toBeCloseTo(0.5, 1)
    expect(yielding.because).toContain('/dev/sda took 42 ms each')
    expect(yielding.because).toContain('1/2 of the time')
    yielding.stop()
    expect(readFor(10)).toBeCloseTo(1, 1)
    expect(yielding.because).toBeUndefined()
  })
})

describe('DiskLoad', () => {
  const line = (device: string, writes: number, writeMs: number) =>
    `   ${device} sda 10 0 80 5 ${writes} 0 800 ${writeMs} 0 12 17 0 0 0 0 0 0`

  it('finds the disk whose writes take longest, from one sample to the next', async () => {
    let text = [line('8       0', 100, 1000), line('8      16', 100, 1000)].join('\n')
    const names: Record<string, string> = { '/dev/sda': '8:0', '/dev/sdb': '8:16' }
    const load = new DiskLoad({
      readStatistics: () => Promise.resolve(text),
      deviceNumberOf: (name) => Promise.resolve(names[name]),
    })
    const devices = ['/dev/sda', '/dev/sdb', '/images/disk.img']
    expect(await load.sample(devices)).toBeUndefined()
    text = [line('8       0', 110, 1050), line('8      16', 110, 1400)].join('\n')
    expect(await load.sample(devices)).toEqual({ deviceName: '/dev/sdb', writeMs: 40 })
    expect(await load.sample(devices)).toBeUndefined()
    text = [line('8       0', 112, 9999), line('8      16', 110, 1400)].join('\n')
    expect(await load.sample(devices), 'two writes tell nothing').toBeUndefined()
  })

  it("understands this kernel's statistics", async () => {
    const found = readDiskStatistics(await readFile('/proc/diskstats', 'utf8'))
    for (const { writes, writeMs } of found.values()) expect(writes + writeMs).toBeGreaterThanOrEqual(0)
    expect(readDiskStatistics('what is this\n\n 8 0 sda 1 2')).toEqual(new Map())
  })
})
