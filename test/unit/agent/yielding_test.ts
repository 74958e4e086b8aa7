import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { DiskLoad, readDiskStatistics } from '../../../agent/disk/disk_load.ts'
import { fullSpeed, nextShare, Yielding } from '../../../agent/sync/yielding.ts'
import { FakeClock } from './fake_clock.ts'

describe('nextShare()', () => {
  const after = (...seen: (number | undefined)[]) =>
    seen.reduce((state, writeMs) => nextShare(state, writeMs), fullSpeed).share

  it('gives way at once, in steps, and never stops', () => {
    expect([after(21), after(21, 30), after(21, 30, 500), after(...Array<number>(50).fill(99))]).toEqual([
      1 / 2,
      1 / 4,
      1 / 8,
      1 / 8,
    ])
  })

  it('comes back one step for five quiet seconds, and not while writes are neither long nor short', () => {
    const quiet = (seconds: number) => Array<undefined>(seconds).fill(undefined)
    expect(after(30, 30, ...quiet(4))).toBe(1 / 4)
    expect(after(30, 30, ...quiet(5))).toBe(1 / 2)
    expect(after(30, 30, ...quiet(10))).toBe(1)
    expect(after(30, 30, ...quiet(100))).toBe(1)
    expect(after(30, 30, ...Array<number>(100).fill(15))).toBe(1 / 4)
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
