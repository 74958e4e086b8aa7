import { describe, expect, it } from 'vitest'
import type { CompressionChoice } from '../../../agent/sync/compression_choice.ts'
import { Compression } from '../../../agent/sync/compression.ts'
import { firstChoice, nextChoice, overdueMs } from '../../../agent/sync/compression_choice.ts'
import { encodings } from '../../../wire/message.ts'
import { randomBytesFrom, seededRandom } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'

/** A machine, its link and its far end, in MB a second; `ratio` is what compressing leaves of the bytes. */
interface World {
  linkMbs: number
  plainCpuMbs: number
  zstdCpuMbs: number
  ratio: number
  /** What the far end takes in, blocks as they are and compressed ones. */
  farPlainMbs?: number
  farZstdMbs?: number
}

const observedMb = 8.389

/** What sending 8 MiB takes in a mode, and how long of it bytes were ready and waited. */
function observe(world: World, mode: CompressionChoice['mode']) {
  const isZstd = mode === 'ZSTD'
  const msAt = (mbs: number) => (observedMb / mbs) * 1000
  const cpuMs = msAt(isZstd ? world.zstdCpuMbs : world.plainCpuMbs)
  const linkMs = msAt(isZstd ? world.linkMbs / world.ratio : world.linkMbs)
  const farMs = msAt((isZstd ? world.farZstdMbs : world.farPlainMbs) ?? Infinity)
  const elapsedMs = Math.max(cpuMs, linkMs, farMs)
  const encodeBytesPerMs = world.zstdCpuMbs * 1000
  return { elapsedMs, waitMs: elapsedMs - cpuMs, rawBytes: observedMb * 1e6, encodeBytesPerMs }
}

/** Sends `megabytes` and answers the speed and which share went compressed. */
function send(world: World, megabytes: number, begin = { choice: firstChoice, now: 0 }) {
  let { choice, now } = begin
  let sent = 0
  let compressed = 0
  for (; sent < megabytes; sent += observedMb) {
    if (choice.mode === 'ZSTD') compressed += observedMb
    const seen = observe(world, choice.mode)
    now += seen.elapsedMs
    choice = nextChoice(choice, seen, now)
  }
  return { choice, now, mbs: (sent * 1000) / (now - begin.now), compressedShare: compressed / sent }
}

const slowLink: World = { linkMbs: 12, plainCpuMbs: 900, zstdCpuMbs: 300, ratio: 0.4 }
const emulated: World = { linkMbs: 60, plainCpuMbs: 10, zstdCpuMbs: 5, ratio: 0.57 }

const loopback: World = { linkMbs: 4000, plainCpuMbs: 900, zstdCpuMbs: 300, ratio: 0.4 }

const worlds: [string, World & { expected: CompressionChoice['mode'] }][] = [
  ['a slow link', { ...slowLink, expected: 'ZSTD' }],
  [
    'a fast link, fast processors',
    { linkMbs: 118, plainCpuMbs: 900, zstdCpuMbs: 200, ratio: 0.4, expected: 'ZSTD' },
  ],
  ['loopback', { ...loopback, expected: 'PLAIN' }],
  ['an emulated machine', { ...emulated, expected: 'PLAIN' }],
  [
    'a link as fast as compressing',
    { linkMbs: 118, plainCpuMbs: 900, zstdCpuMbs: 110, ratio: 0.4, expected: 'PLAIN' },
  ],
  [
    'a far end that is slow to decompress',
    { ...slowLink, linkMbs: 4000, farPlainMbs: 150, farZstdMbs: 100, expected: 'PLAIN' },
  ],
  [
    'a far end that is as fast with either, and waited for',
    { ...slowLink, linkMbs: 4000, farPlainMbs: 150, farZstdMbs: 148, expected: 'ZSTD' },
  ],
  ['noise on a slow link', { linkMbs: 12, plainCpuMbs: 900, zstdCpuMbs: 600, ratio: 1, expected: 'ZSTD' }],
]

describe('nextChoice()', () => {
  it.each(worlds)('finds the faster way on %s and stays with it', (_, world) => {
    const { choice, mbs } = send(world, 20_000)
    const plainMbs = Math.min(world.linkMbs, world.plainCpuMbs, world.farPlainMbs ?? Infinity)
    const zstdMbs = Math.min(world.linkMbs / world.ratio, world.zstdCpuMbs, world.farZstdMbs ?? Infinity)
    expect(choice.mode).toBe(world.expected)
    expect(mbs).toBeGreaterThan(0.95 * Math.max(plainMbs, zstdMbs))
  })

  it('sends nothing uncompressed over a slow link, and little compressed where that does not pay', () => {
    expect(send(slowLink, 400).compressedShare).toBe(1)
    expect(send(emulated, 2000).compressedShare).toBeLessThan(0.06)
  })

  it('follows a link that becomes slow, and one that becomes fast', () => {
    const fast = { linkMbs: 500, plainCpuMbs: 400, zstdCpuMbs: 150, ratio: 0.4 }
    const slow = { ...fast, linkMbs: 10 }
    const first = send(fast, 1000)
    expect(first.choice.mode).toBe('PLAIN')
    const second = send(slow, 500, first)
    expect(second.choice.mode).toBe('ZSTD')
    expect(second.compressedShare).toBeGreaterThan(0.8)
    expect(send(fast, 20_000, second).choice.mode).toBe('PLAIN')
  })

  it('tries what takes long more rarely, and gives a trial up that is slower by far', () => {
    const crawling = { linkMbs: 0.5, plainCpuMbs: 4, zstdCpuMbs: 1.5, ratio: 0.4 }
    const trial = send(crawling, 8).choice
    expect(trial).toMatchObject({ mode: 'PLAIN', keepUntilMs: 0 })
    const zstdMs = observe(crawling, 'ZSTD').elapsedMs
    expect(overdueMs(trial, observedMb * 1e6)).toBeCloseTo(1.5 * zstdMs)
    expect(overdueMs(firstChoice, observedMb * 1e6)).toBe(Infinity)
    const elapsedMs = 1.5 * zstdMs
    const { mode, keepUntilMs } = nextChoice(trial, { elapsedMs, waitMs: elapsedMs, rawBytes: 5e6 }, 50_000)
    expect(mode).toBe('ZSTD')
    expect(keepUntilMs).toBeCloseTo(50_000 + 20 * elapsedMs)
    // Sending was off for eight hours in the middle of it.
    const heldMs = 8 * 3_600_000
    const held = nextChoice(trial, { elapsedMs: heldMs, waitMs: heldMs, rawBytes: 5e6 }, 50_000)
    expect(held.keepUntilMs).toBe(50_000 + 3_600_000)
  })

  it('tries the other way ever more rarely while that changes nothing', () => {
    let choice = firstChoice
    let now = 0
    const tries: number[] = []
    while (now < 800_000) {
      const before = choice.mode
      const seen = observe(loopback, before)
      now += seen.elapsedMs
      choice = nextChoice(choice, seen, now)
      if (before === 'PLAIN' && choice.mode === 'ZSTD') tries.push(now)
    }
    const waits = tries.slice(1).map((at, index) => Math.round((at - (tries[index] ?? 0)) / 1000))
    expect(waits).toEqual([4, 8, 16, 32, 64, 128, 240, 240])
  })

  it('does not try without end where the link is the bottleneck every now and then', () => {
    const world = { linkMbs: 100, plainCpuMbs: 140, zstdCpuMbs: 90, ratio: 0.5 }
    let choice = firstChoice
    let now = 0
    let trials = 0
    for (let count = 0; now < 120_000; count++) {
      const before = choice.mode
      const seen = observe({ ...world, linkMbs: count % 2 === 0 ? 95 : 115 }, before)
      now += seen.elapsedMs
      choice = nextChoice(choice, seen, now)
      if (before === 'PLAIN' && choice.mode === 'ZSTD') trials += 1
    }
    expect(trials).toBeLessThan(25)
  })
})

describe('Compression', () => {
  const random = seededRandom(1)
  const text = Buffer.alloc(65_536, 'text ')
  const mib = 2 ** 20

  it('compresses what shrinks by a tenth, and nothing else', async () => {
    const compression = new Compression(new FakeClock(), false)
    expect((await compression.encode(text)).encoding).toBe(encodings.ZSTD)
    const noise = randomBytesFrom(random, 65_536)
    expect(await compression.encode(noise)).toEqual({ encoding: encodings.RAW, payload: noise })
  })

  it('compresses nothing when it is off, whatever was seen', async () => {
    const clock = new FakeClock()
    const compression = new Compression(clock, true)
    expect(compression.mode).toBe('PLAIN')
    compression.begin()
    for (let count = 0; count < 5; count++) {
      clock.now += 100
      compression.sent(8 * mib, 8 * mib, { acknowledgedPayloadBytes: count * 8 * mib, waitMs: 0 })
    }
    expect(await compression.encode(text)).toEqual({ encoding: encodings.RAW, payload: text })
  })

  it('soon stops trying on noise, and finds text again', async () => {
    const compression = new Compression(new FakeClock(), false)
    for (let count = 0; count < 4; count++) await compression.encode(randomBytesFrom(random, 4096))
    const results = []
    for (let count = 0; count < 10; count++) results.push((await compression.encode(text)).encoding)
    expect(results.filter((encoding) => encoding === encodings.RAW)).toHaveLength(8)
    expect(results.at(-1)).toBe(encodings.ZSTD)
  })

  it('judges by what became durable, not by what buffers have swallowed', () => {
    const clock = new FakeClock()
    const compression = new Compression(clock, false)
    compression.begin()
    const counts = { acknowledgedPayloadBytes: 0, waitMs: 0 }
    // Sockets take sixty megabytes at once, of which the link has carried nothing yet.
    for (let count = 0; count < 60; count++) {
      clock.now += 2
      compression.sent(mib, mib / 2, { ...counts })
    }
    expect(compression.mode).toBe('ZSTD')
    // Then it shows what gets through.
    for (let count = 0; count < 20; count++) {
      clock.now += 13
      counts.acknowledgedPayloadBytes += mib / 2
      counts.waitMs += 8
      compression.sent(mib, mib / 2, { ...counts })
    }
    expect(compression.mode).toBe('PLAIN')
  })

  it('judges a mode only once nothing of the former one is on its way', () => {
    const clock = new FakeClock()
    const compression = new Compression(clock, false)
    compression.begin()
    const counts = { acknowledgedPayloadBytes: 0, waitMs: 0 }
    const send = (payloadBytes: number, durableBytes: number, ms: number) => {
      clock.now += ms
      counts.acknowledgedPayloadBytes += durableBytes
      compression.sent(mib, payloadBytes, { ...counts })
    }
    // 100 MiB/s compressed to half; what buffers took at the begin, 30 MiB, is still on its way when the other way is tried.
    for (let count = 0; compression.mode === 'ZSTD'; count++)
      send(mib / 2, count < 30 ? 0 : mib / 2, count < 30 ? 1 : 10)
    // Those come through at that speed; what follows is half as fast. Before all of them are durable there is no judgement, and then a trial's worth.
    let sent = 0
    for (; compression.mode === 'PLAIN' && sent < 200; sent++) send(mib, mib / 2, 10)
    expect(compression.mode).toBe('ZSTD')
    expect(sent).toBeGreaterThan(30)
    expect(sent).toBeLessThan(60)
  })

  it('counts only the time in which there was something to send', () => {
    const clock = new FakeClock()
    const compression = new Compression(clock, false)
    const counts = { acknowledgedPayloadBytes: 0, waitMs: 0 }
    const sendOne = (ms: number) => {
      // Idle for a hundred times as long.
      clock.now += 100 * ms
      compression.begin()
      clock.now += ms
      counts.acknowledgedPayloadBytes += compression.mode === 'ZSTD' ? mib / 2 : mib
      compression.sent(mib, compression.mode === 'ZSTD' ? mib / 2 : mib, { ...counts })
      compression.end()
    }
    for (let count = 0; compression.mode === 'ZSTD' && count < 100; count++) sendOne(10)
    expect(compression.mode).toBe('PLAIN')
    // As they are, extents take twice as long: the trial is over after so many, not after as much idle time.
    let trial = 0
    for (; compression.mode === 'PLAIN' && trial < 100; trial++) sendOne(20)
    expect(trial).toBeGreaterThan(5)
    expect(trial).toBeLessThan(12)
  })
})
