/**
 * Power cuts, kills and failing disks under one volume, over many lives of its process: what was acknowledged is there, and the index claims
 * nothing else. Writes are torn at 512 bytes or 4 KiB, reordered, and lost with the cache, in data, index and checkpoint.
 *
 * `CRASH_RUNS=N` runs N seeds of four lives each, 300 by default and 250,000 with `REHOST_LONG=1`, so a million ends; `SEED=…` begins with that one.
 * @module
 */
import { describe, expect, it } from 'vitest'
import {
  blockCountOf,
  blockSizeBytes,
  extentBytes,
  pieceSizeBytes,
  piecesPerBlock,
} from '../../../domain/units.ts'
import { bytesOfPieces } from '../../../replicator/piece_write.ts'
import type { Volume } from '../../../replicator/volume.ts'
import { openVolume } from '../../../replicator/volume.ts'
import { blockHashes, RootHash } from '../../../wire/hash.ts'
import { encodings } from '../../../wire/message.ts'
import { piecesHash } from '../../../wire/piece_list.ts'
import { WireError } from '../../../wire/wire_error.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import type { Faults, SimMedium } from './sim_disk.ts'
import { SimVolume } from './sim_volume.ts'

const seed = seedFor('volume crashes')
const runs = Number(process.env['CRASH_RUNS'] ?? (process.env['REHOST_LONG'] === '1' ? 250_000 : 300))

/** A short last block, and segments that do not divide the volume. */
const sizeBytes = 10 * blockSizeBytes + 4096 + 512
const blockCount = blockCountOf(sizeBytes)
const pieceCount = Math.ceil(sizeBytes / pieceSizeBytes)
const segmentBlocks = 3
/** What is looked at as one; media write it as a whole, or in sectors of 512 bytes. */
const sectorBytes = pieceSizeBytes

/** What each piece may hold: the content that was acknowledged last, and whatever was sent since. Contents are fill bytes. */
class Model {
  #lastAttempt = 0
  readonly #possible = Array.from({ length: pieceCount }, () => [{ attempt: 0, fill: 0 }])

  /** Notes a write; call what it returns when it is acknowledged. */
  attempt(pieces: readonly number[], fill: number): () => void {
    const attempt = ++this.#lastAttempt
    for (const piece of pieces) this.#possible[piece]?.push({ attempt, fill })
    return () => {
      for (const piece of pieces) {
        this.#possible[piece] = (this.#possible[piece] ?? []).filter((entry) => entry.attempt >= attempt)
      }
    }
  }

  /** Every piece of `view` holds one of the contents that it may have; with one left, it holds just that. */
  check(view: Buffer): void {
    for (let piece = 0; piece < pieceCount; piece++) {
      const fills = new Set(this.#possible[piece]?.map((entry) => entry.fill))
      const at = piece * pieceSizeBytes
      const held = view.subarray(at, Math.min(at + pieceSizeBytes, sizeBytes))
      if (held.equals(Buffer.alloc(held.length, held[0])) && fills.has(held[0] ?? -1)) continue
      // A short write may end in the middle of a piece.
      if (fills.size > 1 && held.every((byte) => fills.has(byte))) continue
      expect.fail(`Piece ${piece} is wrong, it should hold one of ${[...fills].join(', ')}`)
    }
  }
}

/** The pieces of `count` blocks from `first`. */
function piecesOf(first: number, count: number): number[] {
  const end = Math.min((first + count) * piecesPerBlock, pieceCount)
  return Array.from({ length: end - first * piecesPerBlock }, (_, index) => first * piecesPerBlock + index)
}

/** One volume on its simulated media, over many runs of the process. */
class World {
  readonly random: () => number
  readonly model = new Model()
  readonly volume: SimVolume
  isSuspect = false

  constructor(ownSeed: number) {
    this.random = seededRandom(ownSeed)
    this.volume = new SimVolume({
      sizeBytes,
      sectorBytes: this.random() < 0.5 ? 512 : sectorBytes,
      cutBytes: 1,
      random: this.random,
    })
  }

  get data(): SimMedium {
    return this.volume.data
  }

  open(): Promise<Volume> {
    const { life } = this.volume
    return openVolume({
      volumeId: 'vol-1',
      diskIndex: 0,
      sizeBytes,
      segmentBlocks,
      isSuspect: this.isSuspect,
      onSuspect: () => {
        if (life === this.volume.life) this.isSuspect = true
      },
      parts: this.volume.parts(),
    })
  }

  end(isPowerLost: boolean): void {
    this.volume.end(isPowerLost)
  }

  /** Some turns for whatever is under way. */
  async some(most: number): Promise<void> {
    for (let turns = randomInt(this.random, 0, most); turns > 0; turns--) await Promise.resolve()
  }

  /** One random operation. Resolves when it is over; errors other than those that belong to faults come out. */
  async operate(volume: Volume): Promise<void> {
    const first = randomInt(this.random, 0, blockCount - 1)
    const count = randomInt(this.random, 1, Math.min(5, blockCount - first))
    const choice = this.random()
    if (choice < 0.1) {
      await volume.settle()
      return
    }
    if (choice < 0.2) {
      await volume.compare(first, count, new Uint8Array(count * 32))
      return
    }
    const fill = choice < 0.35 ? 0 : randomInt(this.random, 0, 255)
    if (choice > 0.65) {
      await this.#writePieces(volume, fill)
      return
    }
    const acknowledge = this.model.attempt(piecesOf(first, count), fill)
    if (choice < 0.35) await volume.writeZeros(first, count)
    else {
      const { lengthBytes } = extentBytes({ firstBlock: first, blockCount: count }, sizeBytes)
      const payload = Buffer.alloc(lengthBytes, fill)
      await volume.writeBlocks({
        type: 'BLOCKS',
        diskIndex: 0,
        firstBlock: first,
        blockCount: count,
        rawBytes: lengthBytes,
        encoding: encodings.RAW,
        hashes: blockHashes(payload),
        payload,
      })
    }
    await volume.durable()
    acknowledge()
  }

  async #writePieces(volume: Volume, fill: number): Promise<void> {
    const chosen = Array.from({ length: randomInt(this.random, 1, 12) }, () =>
      randomInt(this.random, 0, pieceCount - 1),
    )
    const pieces = [...new Set(chosen)].sort((a, b) => a - b)
    const rawBytes = bytesOfPieces(pieces, sizeBytes)
    const payload = Buffer.alloc(rawBytes, fill)
    const acknowledge = this.model.attempt(pieces, fill)
    const hash = piecesHash(pieces, payload)
    await volume.writePieces({
      type: 'PIECES',
      diskIndex: 0,
      pieces,
      rawBytes,
      encoding: encodings.RAW,
      hash,
      payload,
    })
    await volume.durable()
    acknowledge()
  }

  /** The index agrees with the data, block by block and as a root. */
  async checkIndex(volume: Volume): Promise<void> {
    const actual = blockHashes(this.data.view.subarray(0, sizeBytes))
    const differing = await volume.compare(0, blockCount, actual)
    expect([...differing], 'the index claims what the data holds').toEqual(
      differing.length === 2 ? [0, 0] : [0],
    )
    const root = new RootHash()
    root.update(actual)
    expect(await volume.hashes.root(new AbortController().signal)).toBe(root.digest())
    if (volume.contents === 'EMPTY') expect(this.data.isZero).toBe(true)
  }
}

const isFault = (error: unknown): boolean =>
  error instanceof WireError && (error.code === 'NO_SPACE' || error.code === 'VOLUME_IO_ERROR')

/** Lives of a process, each ended without warning, and after each a look at what is left. */
async function live(world: World, lives: number, faults?: Faults): Promise<void> {
  for (let life = 0; life < lives; life++) {
    const isPowerLost = faults === undefined || world.random() < 0.5
    // An end in the middle of opening is an end like any other.
    const opening = world.open()
    if (world.random() < 0.2) {
      opening.catch(() => {})
      await world.some(60)
      world.end(isPowerLost)
    } else {
      const volume = await opening
      const problems: unknown[] = []
      if (faults !== undefined) world.data.faults = faults
      const running = Array.from({ length: randomInt(world.random, 1, 12) }, async () => {
        await world.some(80)
        await world.operate(volume)
      }).map((work) => work.catch((error: unknown) => problems.push(error)))
      if (world.random() < 0.3) await Promise.all(running)
      else await world.some(400)
      expect(problems.filter((problem) => !isFault(problem))).toEqual([])
      world.data.faults = { writeError: 0, flushError: 0 }
      if (faults !== undefined && volume.failure !== undefined && world.random() < 0.5) {
        // The process goes on after a failure of the disk: it closes the volume and opens it anew.
        await volume.close()
      } else {
        world.end(isPowerLost)
        world.isSuspect = false
      }
    }
    if (faults !== undefined && world.random() < 0.3) {
      // The disk fails while the volume is opened: by the same process, or by one that ends then.
      world.data.faults = { ...faults, flushError: faults.flushError * 3 }
      const outcome = await world.open().catch((error: unknown) => error)
      world.data.faults = { writeError: 0, flushError: 0 }
      if (outcome instanceof Error) expect(isFault(outcome)).toBe(true)
      if (world.random() < 0.5 || !(outcome instanceof Error)) {
        world.end(isPowerLost)
        world.isSuspect = false
      }
    }
    const volume = await world.open()
    world.isSuspect = false
    world.data.hasForgotten = false
    if (world.random() < 0.5) world.data.evict()
    world.model.check(world.data.view)
    await world.checkIndex(volume)
    // What was hashed must be on the disk, not only in memory.
    world.data.evict()
    world.model.check(world.data.view)
    await world.checkIndex(volume)
    if (world.random() < 0.5) await volume.close()
    else world.end(isPowerLost)
  }
}

/** Half of the runs lose the power, a quarter has a disk that is full now and then, a quarter one whose flushes fail. */
async function many(share: number, faults?: Faults): Promise<void> {
  for (let run = 0; run < runs * share; run++) {
    const ownSeed = (seed + run) >>> 0
    try {
      await live(new World(ownSeed), 4, faults)
    } catch (error) {
      throw new Error(`Failed with SEED=${ownSeed} CRASH_RUNS=1`, { cause: error })
    }
  }
}

const timeoutMs = 60_000 + runs * 100

describe('a volume whose process ends at any moment', () => {
  it('holds everything acknowledged and claims nothing else, when power is lost', () => many(0.5), timeoutMs)

  it(
    'does so when the disk is full now and then',
    () => many(0.25, { writeError: 0.08, flushError: 0 }),
    timeoutMs,
  )

  it(
    'does so when flushes fail and pages are forgotten',
    () => many(0.25, { writeError: 0, flushError: 0.2 }),
    timeoutMs,
  )
})
