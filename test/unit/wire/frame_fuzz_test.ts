/**
 * A million frames that are almost right, one decoder after the other: nothing but a WireError comes out, nothing above the named limits is
 * allocated, and memory stays where it was.
 *
 * `FRAMES=N` feeds N frames, `REHOST_LONG=1` a hundred million; `SEED=…` begins with that one.
 * @module
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FrameDecoder, maxMetaBytes, maxPayloadBytes, WireError } from '../../../wire/frame.ts'
import { seededRandom, seedFor } from '../../fixtures/seed.ts'
import { hostileStream, makeCorpus } from './frame_mutations.ts'

const seed = seedFor('frame fuzzing')
const wanted = Number(process.env['FRAMES'] ?? (process.env['REHOST_LONG'] === '1' ? 100_000_000 : 1_000_000))

/**
 * What may be held more at the end than at the begin. A leak grows in all of so many parts of the run; what the collector, the compiler or another
 * file's tests in this process hold for a while comes in one and goes in another.
 */
const leakBytes = 16 * 1024 * 1024
const parts = 8

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes in use once everything that is not needed is gone. */
function usedBytes(): number {
  // Buffers are given back by another thread, which a busy machine keeps waiting; the next collection begins by waiting for it.
  collect()
  collect()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

const { allocUnsafe } = Buffer
const { stackTraceLimit } = Error
let largestMeta = 0
let largestPayload = 0

beforeEach(() => {
  // What the decoder takes for a header or a meta that arrives in pieces.
  Buffer.allocUnsafe = (bytes) => {
    largestMeta = Math.max(largestMeta, bytes)
    return allocUnsafe(bytes)
  }
  // A stack for each of a million refusals is what would take the time.
  Error.stackTraceLimit = 0
})
afterEach(() => {
  Buffer.allocUnsafe = allocUnsafe
  Error.stackTraceLimit = stackTraceLimit
})

const payload = Buffer.alloc(maxPayloadBytes)

function allocate(bytes: number): Uint8Array {
  largestPayload = Math.max(largestPayload, bytes)
  if (bytes > maxPayloadBytes) throw new Error(`${bytes} bytes were asked for a payload`)
  return payload
}

describe('the decoder under hostile frames', () => {
  it(
    `stands ${wanted} of them`,
    () => {
      const corpus = makeCorpus(seed)
      let frames = 0
      let refused = 0
      const used: number[] = []
      for (let stream = 0; frames < wanted; stream++) {
        const ownSeed = (seed + stream) >>> 0
        const { chunks, frames: count, good } = hostileStream(corpus, seededRandom(ownSeed))
        const decoder = new FrameDecoder({ allocate })
        let decoded = 0
        try {
          for (const chunk of chunks) {
            if (decoder.absorb(chunk)) continue
            for (const { sequence } of decoder.push(chunk)) decoded = sequence
          }
        } catch (error) {
          if (!(error instanceof WireError))
            throw new Error(`Failed with SEED=${ownSeed} FRAMES=1`, { cause: error })
          refused += 1
        }
        if (decoded < good) expect.fail(`A good frame was not decoded, SEED=${ownSeed} FRAMES=1`)
        frames += count
        if (frames > (wanted * (used.length + 1)) / parts) used.push(usedBytes())
      }
      const growths = used.slice(1).map((bytes, index) => bytes - (used[index] ?? 0))
      const grown = (growths.toSorted((one, other) => one - other)[growths.length >> 1] ?? 0) * parts
      console.log(
        `${frames} frames, ${refused} streams refused, ${Math.round(grown / 1024)} KiB more in use if all parts were like the middle one`,
      )
      expect(largestMeta).toBeLessThanOrEqual(maxMetaBytes)
      expect(largestPayload).toBeLessThanOrEqual(maxPayloadBytes)
      if (wanted >= 100_000) {
        expect(growths.length).toBeGreaterThanOrEqual(parts - 2)
        expect(refused).toBeGreaterThan(frames / 20)
        expect(grown).toBeLessThan(leakBytes)
      }
    },
    60_000 + wanted / 5,
  )
})
