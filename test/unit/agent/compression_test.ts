import { describe, expect, it } from 'vitest'
import type { CompressionChoice } from '../../../agent/sync/compression_choice.ts'
import { Compression } from '../../../agent/sync/compression.ts'
import { firstChoice, nextChoice } from '../../../agent/sync/compression_choice.ts'
import { encodings } from '../../../wire/message.ts'
import { randomBytesFrom, seededRandom } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'

/** A machine and its link, in MB a second; `ratio` is what compressing leaves of the bytes. */
interface World {
  linkMbs: number
  plainCpuMbs: number
  zstdCpuMbs: number
  ratio: number
}

const observedMb = 8.389

/** What sending 8 MiB takes in a mode, and how long of it was waiting for the link. */
function observe(world: World, mode: CompressionChoice['mode']) {
  const isZstd = mode === 'ZSTD'
  const cpuMs = (observedMb / (isZstd ? world.zstdCpuMbs : world.plainCpuMbs)) * 1000
  const linkMs = ((observedMb * (isZstd ? world.ratio : 1)) / world.linkMbs) * 1000
  const elapsedMs = Math.max(cpuMs, linkMs)
  return { elapsedMs, linkWaitMs: elapsedMs - cpuMs, rawBytes: observedMb * 1e6 }
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

const worlds: [string, World & { expected: CompressionChoice['mode'] }][] = [
  ['a slow link', { ...slowLink, expected: 'ZSTD' }],
  [
    'a fast link, fast processors',
    { linkMbs: 118, plainCpuMbs: 900, zstdCpuMbs: 200, ratio: 0.4, expected: 'ZSTD' },
  ],
  ['loopback', { linkMbs: 4000, plainCpuMbs: 900, zstdCpuMbs: 300, ratio: 0.4, expected: 'PLAIN' }],
  ['an emulated machine', { ...emulated, expected: 'PLAIN' }],
  [
    'a link as fast as compressing',
    { linkMbs: 118, plainCpuMbs: 900, zstdCpuMbs: 110, ratio: 0.4, expected: 'PLAIN' },
  ],
  ['noise on a slow link', { linkMbs: 12, plainCpuMbs: 900, zstdCpuMbs: 600, ratio: 1, expected: 'ZSTD' }],
]

describe('nextChoice()', () => {
  it.each(worlds)('finds the faster way on %s and stays with it', (_, world) => {
    const { choice, mbs } = send(world, 20_000)
    const plainMbs = Math.min(world.linkMbs, world.plainCpuMbs)
    const zstdMbs = Math.min(world.linkMbs / world.ratio, world.zstdCpuMbs)
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

  it('judges nothing by the first observation after a change, when buffers hold what was sent before it', () => {
    const seen = { elapsedMs: 100, linkWaitMs: 0, rawBytes: 8e6 }
    const first = nextChoice(firstChoice, seen, 100)
    expect(first).toEqual({ ...firstChoice, observations: 1 })
    expect(nextChoice(first, seen, 200)).toMatchObject({ mode: 'PLAIN', observations: 0 })
  })

  it('tries the other way ever more rarely while that changes nothing', () => {
    let choice = firstChoice
    let now = 0
    const tries: number[] = []
    while (now < 600_000) {
      const before = choice.mode
      const seen = observe(emulated, before)
      now += seen.elapsedMs
      choice = nextChoice(choice, seen, now)
      if (before === 'PLAIN' && choice.mode === 'ZSTD') tries.push(now)
    }
    const waits = tries.slice(1).map((at, index) => Math.round((at - (tries[index] ?? 0)) / 1000))
    // A trial and the way back take some seconds themselves.
    expect(waits.map((wait) => Math.round(wait / 35))).toEqual([1, 2, 4, 7])
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

  it('compresses what shrinks by a tenth, and nothing else', async () => {
    const compression = new Compression(new FakeClock())
    expect((await compression.encode(Buffer.alloc(65_536, 'text '))).encoding).toBe(encodings.ZSTD)
    const noise = randomBytesFrom(random, 65_536)
    expect(await compression.encode(noise)).toEqual({ encoding: encodings.RAW, payload: noise })
  })

  it('compresses nothing when it is off, whatever was seen', async () => {
    const compression = new Compression(new FakeClock(), true)
    const text = Buffer.alloc(4096, 'text ')
    expect(compression.mode).toBe('PLAIN')
    for (let count = 0; count < 5; count++) compression.sent(8 * 2 ** 20, 90)
    expect(await compression.encode(text)).toEqual({ encoding: encodings.RAW, payload: text })
  })

  it('soon stops trying on noise, and finds text again', async () => {
    const compression = new Compression(new FakeClock())
    for (let count = 0; count < 4; count++) await compression.encode(randomBytesFrom(random, 4096))
    const text = Buffer.alloc(4096, 'text ')
    const results = []
    for (let count = 0; count < 10; count++) results.push((await compression.encode(text)).encoding)
    expect(results.filter((encoding) => encoding === encodings.RAW)).toHaveLength(8)
    expect(results.at(-1)).toBe(encodings.ZSTD)
  })

  it('counts only the time in which there was something to send', async () => {
    const clock = new FakeClock()
    const compression = new Compression(clock)
    const text = Buffer.alloc(4096, 'text ')
    const sendOne = (ms: number, linkWaitMs: number) => {
      clock.now += 10_000
      compression.begin()
      clock.now += ms
      compression.sent(8 * 2 ** 20, linkWaitMs)
      compression.end()
    }
    // The link is the bottleneck, though it was idle between extents for a hundred times as long.
    for (let count = 0; count < 5; count++) sendOne(100, 90)
    expect(compression.mode).toBe('ZSTD')
    for (let count = 0; count < 3; count++) sendOne(100, 0)
    expect(compression.mode).toBe('PLAIN')
    expect(await compression.encode(text)).toEqual({ encoding: encodings.RAW, payload: text })
  })
})
