/**
 * A disk under writes at any moment, also in the middle of a read, replicated by the real session, scanner, reader and maps to a far end that
 * loses its connection, in the middle of frames too. At the end both are the same, whatever came in between.
 *
 * `SEED=n` replays, `PIECE_RUNS=n` sets how many schedules, `REHOST_LONG=1` makes it 20,000.
 * @module
 */
import { describe, expect, it } from 'vitest'
import { PointKeeper } from '../../../agent/consistency/point_keeper.ts'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import { LineLog } from '../../../agent/log.ts'
import { Certainty } from '../../../agent/sync/certainty.ts'
import { ChangeMap } from '../../../agent/sync/change_map.ts'
import type { DiskSet } from '../../../agent/sync/disk_set.ts'
import { DiskSync } from '../../../agent/sync/disk_sync.ts'
import { maxPiecedBlocks, PieceRoom } from '../../../agent/sync/piece_room.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import { Scanner } from '../../../agent/sync/scanner.ts'
import type { ExtentToSend, PiecesToSend, Sender } from '../../../agent/sync/sender.ts'
import { Meter } from '../../../agent/sync/meter.ts'
import { Progress } from '../../../agent/sync/progress.ts'
import { Yielding } from '../../../agent/sync/yielding.ts'
import { Session } from '../../../agent/sync/session.ts'
import { Verification } from '../../../agent/sync/verification.ts'
import type { Tracker } from '../../../agent/tracking/tracker.ts'
import type { Extent } from '../../../domain/units.ts'
import { blockLengthBytes, blockSizeBytes, pieceSizeBytes } from '../../../domain/units.ts'
import { blockHash, equalHashes, hashAt } from '../../../wire/hash.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'

const seed = seedFor('pieces model')
const runs = Number(process.env['PIECE_RUNS'] ?? (process.env['REHOST_LONG'] === '1' ? 20_000 : 60))

/** Several regions would need gigabytes; several connections are told apart by the block's number instead. */
const lanes = 2

interface Frame {
  extents: Extent[]
  /** Writes the first `bytes` of it. */
  apply(bytes: number): void
}

/** Source, replica and everything between them. */
class World {
  readonly random: () => number
  readonly sizeBytes: number
  readonly source: Buffer
  readonly replica: Buffer
  readonly clock = new FakeClock()
  readonly room: PieceRoom
  readonly disk: DiskSync
  readonly #seen: ChangeMap
  readonly #session: () => Session
  #lost: string | undefined
  #pending: Frame[] = []
  #failure: Error | undefined
  /** Byte offsets of sectors that can't be read. */
  readonly #bad = new Set<number>()
  isCalm = false
  piecesSent = 0

  constructor(ownSeed: number) {
    this.random = seededRandom(ownSeed)
    this.sizeBytes = randomInt(this.random, 1, 9) * blockSizeBytes + randomInt(this.random, 0, 100) * 512
    this.source = Buffer.from(randomBytesFrom(this.random, this.sizeBytes))
    // Stretches of zeros, which are not sent to an empty volume.
    this.source.fill(0, 0, randomInt(this.random, 0, this.sizeBytes))
    const isEmpty = this.random() < 0.5
    this.replica = isEmpty
      ? Buffer.alloc(this.sizeBytes)
      : Buffer.from(randomBytesFrom(this.random, this.sizeBytes))
    this.room = new PieceRoom(this.random() < 0.3 ? randomInt(this.random, 0, 3) : maxPiecedBlocks)
    this.#seen = new ChangeMap(this.sizeBytes, this.room)
    this.disk = new DiskSync({
      diskIndex: 0,
      volumeId: 'vol-0',
      sizeBytes: this.sizeBytes,
      source: this.#makeSource(),
      tracker: this.#makeTracker(),
      room: this.room,
    })
    this.disk.learnContents(isEmpty ? 'EMPTY' : 'PARTIAL', false, 0)
    const pool = new AlignedPool(3)
    const reader = new Reader({ pool, clock: this.clock, onUnreadable: () => undefined })
    const scanner = new Scanner({ reader, pool, clock: this.clock })
    const certainty = new Certainty(this.clock)
    this.#session = () =>
      new Session(
        {
          clock: this.clock,
          log: new LineLog({ write: () => undefined }, () => 0),
          run: () => Promise.resolve(''),
          disks: { all: [this.disk], stopped: [], check: () => Promise.resolve() } as unknown as DiskSet,
          reader,
          scanner,
          certainty,
          points: new PointKeeper(this.clock),
          yielding: new Yielding(this.clock),
          progress: new Progress(this.clock, new Meter(this.clock)),
          verification: new Verification(),
          planFreeze: () => Promise.resolve(undefined),
          findHooks: () => Promise.resolve({ preFreeze: [], postThaw: [] }),
          note: () => undefined,
          counters: { sentBytes: 0 },
          onChange: () => undefined,
          onTurn: () => undefined,
        },
        this.#makeSender(),
        new AbortController().signal,
      )
  }

  /** A write of the source's own: sectors change, and the tracker hears of it when it is complete. */
  write(): void {
    const sectors = this.sizeBytes / 512
    const first = randomInt(this.random, 0, sectors - 1)
    const most = this.random() < 0.15 ? 400 : this.random() < 0.5 ? 8 : 30
    const count = Math.min(sectors - first, randomInt(this.random, 1, most))
    const target = this.source.subarray(first * 512, (first + count) * 512)
    if (this.random() < 0.3) target.fill(0)
    else target.set(randomBytesFrom(this.random, target.length))
    // A disk that is written to remaps its bad sectors.
    for (const bad of this.#bad) if (bad >= first * 512 && bad < (first + count) * 512) this.#bad.delete(bad)
    this.#seen.markSectors(first, count)
  }

  loseEvents(): void {
    this.#lost = 'The test says so'
    this.#seen.takeAll()
  }

  breakSector(): void {
    this.#bad.add(randomInt(this.random, 0, this.sizeBytes / 512 - 1) * 512)
  }

  heal(): void {
    this.#bad.clear()
    this.isCalm = true
    this.clock.now += 60_000
  }

  /** One session of some turns, which may break at any frame. */
  async session(turns: number, breaksAfter: number): Promise<void> {
    this.#failure = undefined
    this.#breaksAfter = breaksAfter
    const session = this.#session()
    try {
      for (let turn = 0; turn < turns; turn++) {
        await session.turn()
        this.clock.now += randomInt(this.random, 0, 20_000)
      }
    } catch (error) {
      if (error !== this.#failure) throw error
    }
    this.#takeBack()
  }

  #breaksAfter = Infinity

  /** What was on its way is there, in part, or not at all; the agent takes all of it back, as a visit does. */
  #takeBack(): void {
    for (const frame of this.#pending.splice(0)) {
      const chance = this.random()
      if (chance < 0.3) frame.apply(Infinity)
      else if (chance < 0.6) frame.apply(randomInt(this.random, 0, 40) * 512)
      for (const { firstBlock, blockCount } of frame.extents) this.disk.dirty.mark(firstBlock, blockCount)
    }
  }

  #sometimesWrite(): void {
    if (!this.isCalm && this.random() < 0.25) this.write()
  }

  #makeSource(): BlockSource {
    const read = async (offset: number, length: number, into: Uint8Array): Promise<void> => {
      expect(offset % pieceSizeBytes).toBe(0)
      expect(into.length % pieceSizeBytes).toBe(0)
      this.#sometimesWrite()
      await Promise.resolve()
      for (const bad of this.#bad)
        if (bad >= offset && bad < offset + length) throw new UnreadableSectorError('/dev/model', bad)
      // A read that a write overtakes holds some of both.
      const half = Math.floor(length / 1024) * 512
      into.set(this.source.subarray(offset, offset + half))
      this.#sometimesWrite()
      into.set(this.source.subarray(offset + half, offset + length), half)
      await Promise.resolve()
      this.#sometimesWrite()
    }
    return {
      deviceName: '/dev/model',
      identity: { stableId: '/dev/model' },
      sizeBytes: this.sizeBytes,
      read,
      growTo: () => undefined,
      currentSizeBytes: () => Promise.resolve(this.sizeBytes),
      close: () => Promise.resolve(),
    }
  }

  #makeTracker(): Tracker {
    const seen = (): ChangeMap => this.#seen
    return {
      kind: 'tracefs',
      reason: 'The test tells it',
      needsPasses: false,
      get waitingBytes() {
        return seen().bytes
      },
      grow: () => undefined,
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      drain: () => {
        const changed = this.#seen.takeAll()
        const reason = this.#lost
        this.#lost = undefined
        return Promise.resolve(reason === undefined ? { lost: false, changed } : { lost: true, reason })
      },
    }
  }

  #makeSender(): Sender {
    const send = async (frame: Frame): Promise<void> => {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#breaksAfter-- <= 0) {
        this.#failure = new Error('The connection broke')
        // The frame that was being written counts as sent, or does not.
        if (this.random() < 0.5) this.#pending.push(frame)
        throw this.#failure
      }
      this.#pending.push(frame)
      while (this.random() < 0.4) this.#pending.shift()?.apply(Infinity)
      await Promise.resolve()
    }
    const sender = {
      maxBlocksPerExtent: 16,
      extentsAtOnce: 4,
      maxPiecesPerFrame: 16 * randomInt(this.random, 1, 3),
      laneOf: (_disk: number, block: number) => block % lanes,
      adapt: () => Promise.resolve(),
      sendExtent: async ({ firstBlock, blockCount, bytes, isBlank }: ExtentToSend) => {
        const own = Buffer.from(bytes)
        for (let index = 0; index < blockCount; index++) {
          const start = index * blockSizeBytes
          const block = own.subarray(start, start + blockSizeBytes)
          if (isBlank && block.every((byte) => byte === 0)) continue
          await send({
            extents: [{ firstBlock: firstBlock + index, blockCount: 1 }],
            apply: (most) => {
              this.replica.set(block.subarray(0, most), (firstBlock + index) * blockSizeBytes)
            },
          })
        }
      },
      sendPieces: async ({ pieces, bytes }: PiecesToSend) => {
        expect(pieces).toEqual(pieces.toSorted((a, b) => a - b))
        expect(pieces.length).toBeLessThanOrEqual(sender.maxPiecesPerFrame)
        const last = pieces.at(-1) ?? 0
        const lastBytes = Math.min(pieceSizeBytes, this.sizeBytes - last * pieceSizeBytes)
        expect(bytes.length).toBe((pieces.length - 1) * pieceSizeBytes + lastBytes)
        const blocks = new Set(pieces.map((piece) => Math.floor(piece / 16)))
        expect(new Set([...blocks].map((block) => block % lanes)).size).toBe(1)
        const own = Buffer.from(bytes)
        this.piecesSent += pieces.length
        await send({
          extents: [...blocks].map((firstBlock) => ({ firstBlock, blockCount: 1 })),
          apply: (most) => {
            for (const [index, piece] of pieces.entries()) {
              const end = Math.min((index + 1) * pieceSizeBytes, own.length, most)
              if (end > index * pieceSizeBytes)
                this.replica.set(own.subarray(index * pieceSizeBytes, end), piece * pieceSizeBytes)
            }
          },
        })
      },
      queryHashes: ({ firstBlock, blockCount, hashes }: Extent & { hashes: Uint8Array }) => {
        if (this.#failure !== undefined) return Promise.reject(this.#failure)
        // It sees what came before it on its connection.
        for (const frame of this.#pending.splice(0)) frame.apply(Infinity)
        const bitmap = new Uint8Array(Math.ceil(blockCount / 8))
        for (let index = 0; index < blockCount; index++) {
          const start = (firstBlock + index) * blockSizeBytes
          const length = blockLengthBytes(firstBlock + index, this.sizeBytes)
          const own = blockHash(this.replica.subarray(start, start + length))
          if (!equalHashes(own, hashAt(hashes, index)))
            bitmap[index >>> 3] = (bitmap[index >>> 3] ?? 0) | (1 << (index & 7))
        }
        return Promise.resolve(bitmap)
      },
      takeDamaged: () => [],
      allAcknowledged: () => {
        if (this.#failure !== undefined) return Promise.reject(this.#failure)
        for (const frame of this.#pending.splice(0)) frame.apply(Infinity)
        return Promise.resolve()
      },
    }
    return Object.defineProperty(sender, 'failure', { get: () => this.#failure }) as unknown as Sender
  }
}

async function live(world: World): Promise<void> {
  for (let step = randomInt(world.random, 3, 12); step > 0; step--) {
    for (let writes = randomInt(world.random, 0, 6); writes > 0; writes--) world.write()
    const chance = world.random()
    if (chance < 0.05) world.loseEvents()
    else if (chance < 0.15) world.breakSector()
    const breaksAfter = world.random() < 0.3 ? randomInt(world.random, 0, 6) : Infinity
    await world.session(randomInt(world.random, 1, 4), breaksAfter)
  }
  world.heal()
  await world.session(4, Infinity)
  for (let turn = 0; turn < 4; turn++) {
    world.clock.now += 60_000
    await world.session(2, Infinity)
  }
  expect(world.disk.scan).toBeUndefined()
  expect([world.disk.dirty.count, world.disk.dirty.bytes, world.disk.bytesInHand]).toEqual([0, 0, 0])
  expect(world.disk.unreadableCount).toBe(0)
  for (let at = 0; at < world.sizeBytes; at += 512) {
    const end = Math.min(at + 512, world.sizeBytes)
    if (!world.source.subarray(at, end).equals(world.replica.subarray(at, end)))
      expect.fail(`The replica differs at sector ${at / 512}, block ${Math.floor(at / blockSizeBytes)}`)
  }
}

describe('replication in pieces', () => {
  it(
    'ends with the same bytes after any schedule of writes, scans, bad sectors and broken sessions',
    async () => {
      let piecesSent = 0
      for (let run = 0; run < runs; run++) {
        const ownSeed = (seed + run) >>> 0
        const world = new World(ownSeed)
        try {
          await live(world)
        } catch (error) {
          throw new Error(`Failed with SEED=${ownSeed} PIECE_RUNS=1`, { cause: error })
        }
        piecesSent += world.piecesSent
      }
      expect(piecesSent, 'pieces were sent at all').toBeGreaterThan(runs)
    },
    runs * 200 + 10_000,
  )
})
