import { describe, expect, it } from 'vitest'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import type { Change } from '../../../agent/sync/change_map.ts'
import { DiskSync } from '../../../agent/sync/disk_sync.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import { Scanner } from '../../../agent/sync/scanner.ts'
import type { ExtentToSend, PiecesToSend, Sender } from '../../../agent/sync/sender.ts'
import { sweep } from '../../../agent/sync/sweep.ts'
import type { VerifiedDisk } from '../../../domain/verified_disk.ts'
import { Verification } from '../../../agent/sync/verification.ts'
import { Verifier } from '../../../agent/sync/verifier.ts'
import type { Tracker } from '../../../agent/tracking/tracker.ts'
import { blockSizeBytes, pieceSizeBytes } from '../../../domain/units.ts'
import { openVolume } from '../../../replicator/volume.ts'
import type { Disk } from '../../../replicator/disk.ts'
import { blockHashes } from '../../../wire/hash.ts'
import { encodings } from '../../../wire/message.ts'
import { piecesHash } from '../../../wire/piece_list.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk as numberedDisk, MemorySource, stillTracker } from './memory_disk.ts'

/** `VERIFY_RUNS=N` verifies N disks, `REHOST_LONG=1` 20,000; `SEED=…` begins with that one. */
const runs = Number(process.env['VERIFY_RUNS'] ?? (process.env['REHOST_LONG'] === '1' ? 20_000 : 60))

/** More than one question asks about. Hashing takes most of the time, so most disks are smaller. */
const mostBlocks = 280
const fewBlocks = 40

const sizeOf = (blocks: number): number => blocks * blockSizeBytes - 1024

function memoryDisk(bytes: Uint8Array): Disk {
  return {
    sizeBytes: bytes.length,
    read: (into, offset) => {
      into.set(bytes.subarray(offset, offset + into.length))
      return Promise.resolve(into.length)
    },
    write: (from, offset) => {
      bytes.set(from, offset)
      return Promise.resolve(from.length)
    },
    flush: () => Promise.resolve(),
    check: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

/** A byte stands for each block: whole blocks of random bytes would take all the time there is. Answers the piece of the block that it is in. */
function change(bytes: Uint8Array, block: number, random: () => number): number {
  const length = Math.min(blockSizeBytes, bytes.length - block * blockSizeBytes)
  const offset = randomInt(random, 0, length - 1)
  bytes[block * blockSizeBytes + offset] = randomInt(random, 0, 255)
  return Math.floor(offset / pieceSizeBytes)
}

/** A source that is written to, its tracker, its copy, and what verifies it. */
class World {
  readonly clock = new FakeClock()
  readonly blocks: number
  readonly source: MemorySource
  readonly copy: Uint8Array
  readonly random: () => number
  readonly disk: DiskSync
  readonly reader: Reader
  readonly verifier: Verifier
  readonly verification = new Verification()
  readonly sender: Sender
  /** Chance of a write at each call of the source, the tracker and the far end. */
  writeChance = 0
  /** Blocks that nobody writes to. */
  readonly still = new Set<number>()
  /** Changes that the tracker has not told of yet: a request is complete some time after it has changed the disk. */
  #untold: { change: Change; atMs: number }[] = []
  /** Told as a loss at the next look. */
  isLost = false
  verified = 0

  private constructor(random: () => number, blocks: number, needsPasses: boolean) {
    this.random = random
    this.blocks = blocks
    const sizeBytes = sizeOf(blocks)
    this.source = new MemorySource('/dev/disk0', new Uint8Array(sizeBytes))
    this.copy = new Uint8Array(sizeBytes)
    const tracker: Tracker = { ...stillTracker, needsPasses, drain: () => Promise.resolve(this.#drained()) }
    this.disk = new DiskSync({ diskIndex: 0, volumeId: 'vol-0', sizeBytes, source: this.source, tracker })
    const read = this.source.read.bind(this.source)
    this.source.read = async (offset, length, into) => {
      this.mayWrite()
      await read(offset, length, into)
      this.mayWrite()
    }
    const pool = new AlignedPool(8)
    this.reader = new Reader({ pool, clock: this.clock, onUnreadable: () => undefined })
    this.verifier = new Verifier({
      clock: this.clock,
      reader: this.reader,
      scanner: new Scanner({ reader: this.reader, pool, clock: this.clock }),
      drain: () => this.drain(),
    })
    this.sender = {} as Sender
  }

  static async make(random: () => number, blocks = fewBlocks, needsPasses = false): Promise<World> {
    const world = new World(random, blocks, needsPasses)
    const sizeBytes = sizeOf(blocks)
    for (let block = 0; block < blocks; block++) if (random() < 0.9) change(world.source.bytes, block, random)
    const index = new Uint8Array(blocks * 32)
    const volume = await openVolume({
      volumeId: 'vol-0',
      diskIndex: 0,
      sizeBytes,
      parts: {
        data: memoryDisk(world.copy),
        identity: 'memory',
        isDataZero: () => Promise.resolve(true),
        openIndex: () => Promise.resolve({ disk: memoryDisk(index), bytesBefore: 0 }),
        checkpoint: {
          read: () => Promise.resolve(undefined),
          write: () => Promise.resolve(),
          remove: () => Promise.resolve(),
        },
      },
    })
    const sender: Pick<
      Sender,
      | 'maxBlocksPerExtent'
      | 'extentsAtOnce'
      | 'maxPiecesPerFrame'
      | 'laneOf'
      | 'sendExtent'
      | 'sendPieces'
      | 'verify'
    > = {
      maxBlocksPerExtent: 16,
      extentsAtOnce: 4,
      maxPiecesPerFrame: 256,
      laneOf: () => 0,
      sendPieces: async ({ pieces, bytes }: PiecesToSend) => {
        world.mayWrite()
        await volume.writePieces({
          type: 'PIECES',
          diskIndex: 0,
          pieces: [...pieces],
          rawBytes: bytes.length,
          encoding: encodings.RAW,
          hash: piecesHash(pieces, bytes),
          payload: bytes,
        })
        world.mayWrite()
      },
      sendExtent: async ({ firstBlock, blockCount, bytes }: ExtentToSend) => {
        world.mayWrite()
        await volume.writeBlocks({
          type: 'BLOCKS',
          diskIndex: 0,
          firstBlock,
          blockCount,
          rawBytes: bytes.length,
          encoding: encodings.RAW,
          hashes: blockHashes(bytes),
          payload: bytes,
        })
        world.mayWrite()
      },
      verify: async ({ firstBlock, blockCount, hashes }) => {
        world.mayWrite()
        const answer = await volume.verify(firstBlock, blockCount, hashes)
        world.mayWrite()
        world.verified++
        return answer
      },
    }
    Object.assign(world.sender, sender)
    world.disk.learnContents('PARTIAL', true, world.clock.now)
    world.disk.dirty.mark(0, blocks)
    await sweep([world.disk], world.sender, world.reader)
    if (world.disk.scan !== undefined) world.disk.scan.cursor = blocks
    world.disk.finishScan(world.clock.now)
    return world
  }

  /** Somebody writes now, or not. The kernel tells of it within half a second. */
  mayWrite(): void {
    while (this.random() < this.writeChance) {
      const block = randomInt(this.random, 0, this.blocks - 1)
      if (this.still.has(block)) continue
      const piece = change(this.source.bytes, block, this.random)
      const own: Change = { firstBlock: block, blockCount: 1 }
      if (this.random() < 0.5) own.pieces = 1 << piece
      this.#untold.push({
        change: own,
        atMs: this.clock.now + (this.random() < 0.2 ? randomInt(this.random, 1, 500) : 0),
      })
    }
  }

  async drain(): Promise<boolean> {
    const drained = await this.disk.tracker.drain()
    if (drained.lost) {
      this.disk.loseCertainty(this.clock.now)
      return false
    }
    for (const changed of drained.changed) this.disk.markChanged(changed)
    return true
  }

  #drained(): Awaited<ReturnType<Tracker['drain']>> {
    if (this.isLost) {
      this.isLost = false
      return { lost: true, reason: 'The test says so' }
    }
    if (this.disk.tracker.needsPasses) return { lost: false, changed: [] }
    const told = this.#untold.filter(({ atMs }) => atMs <= this.clock.now)
    this.#untold = this.#untold.filter(({ atMs }) => atMs > this.clock.now)
    this.mayWrite()
    return { lost: false, changed: told.map((untold) => untold.change) }
  }

  /** Verifies all of it; between the parts what is dirty is sent, as in a session. */
  async verifyAll(): Promise<VerifiedDisk> {
    this.verification.apply(1)
    for (;;) {
      const own = this.verification.next([this.disk], this.clock.now)
      if (own === undefined) break
      await this.verifier.step(own, this.sender)
      await this.drain()
      await sweep([this.disk], this.sender, this.reader)
    }
    expect(this.verification.finish([this.disk], this.clock.now)).toBe(true)
    const report = this.verification.report([this.disk], this.clock.now)
    expect(report).toMatchObject({ verifyEpoch: 1, isDone: true })
    const [own] = report?.disks ?? []
    if (own === undefined) throw new Error('Nothing was reported')
    return own
  }

  /** Lets everything come to rest; answers the blocks that are not the same. */
  async differencesAtRest(): Promise<number[]> {
    this.writeChance = 0
    this.clock.now += 1000
    await this.drain()
    if (this.disk.tracker.needsPasses) this.disk.dirty.mark(0, this.blocks)
    await sweep([this.disk], this.sender, this.reader)
    return Array.from({ length: this.blocks }, (_, block) => block).filter((block) => {
      const start = block * blockSizeBytes
      const end = Math.min(this.copy.length, start + blockSizeBytes)
      return Buffer.compare(this.source.bytes.subarray(start, end), this.copy.subarray(start, end)) !== 0
    })
  }
}

/** The blocks that a report names. */
function named(report: VerifiedDisk): number[] {
  return report.differences.flatMap(({ offsetBytes, lengthBytes }) =>
    Array.from(
      { length: Math.ceil(lengthBytes / blockSizeBytes) },
      (_, index) => offsetBytes / blockSizeBytes + index,
    ),
  )
}

/** One disk, damaged or not, that is verified while somebody writes to it. */
async function verifyDamaged(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const blocks = seed % 40 === 0 ? mostBlocks : randomInt(random, 1, 24)
  const world = await World.make(random, blocks, random() < 0.2)
  const damaged = new Set(
    Array.from({ length: randomInt(random, 0, 4) }, () => randomInt(random, 0, blocks - 1)),
  )
  // Where one question ends and the next begins.
  if (blocks === mostBlocks) for (const block of [0, 255, 256, blocks - 1]) damaged.add(block)
  const missed = new Set<number>()
  for (const block of damaged) {
    const at = block * blockSizeBytes + randomInt(random, 0, 1000)
    world.copy[at] = (world.copy[at] ?? 0) ^ randomInt(random, 1, 255)
    world.still.add(block)
  }
  // A change that no tracker told of. Where none is told at all it cannot be told from any other.
  for (let count = world.disk.tracker.needsPasses ? 0 : randomInt(random, 0, 2); count > 0; count--) {
    const block = randomInt(random, 0, blocks - 1)
    // Changed twice it could be as it was.
    if (damaged.has(block) || missed.has(block)) continue
    const at = block * blockSizeBytes
    world.source.bytes[at] = (world.source.bytes[at] ?? 0) ^ randomInt(random, 1, 255)
    missed.add(block)
    world.still.add(block)
  }
  world.writeChance = random() < 0.2 ? 0 : random() * 0.7
  const report = await world.verifyAll()
  expect(named(report)).toEqual([...damaged, ...missed].sort((left, right) => left - right))
  expect(report).toMatchObject({
    checkedBytes: sizeOf(blocks),
    differingBlocks: damaged.size + missed.size,
    damagedBlocks: damaged.size,
    repairedBlocks: damaged.size + missed.size,
    unreadableBlocks: 0,
  })
  expect(report.sourceRoot).toMatch(/^[0-9a-f]{64}$/)
  expect(report.replicaRoot).toBe(report.sourceRoot)
  expect(await world.differencesAtRest()).toEqual([])
}

describe('Verifier', () => {
  it(
    `names exactly the blocks that differ and repairs them while others are written to, ${runs} times`,
    async () => {
      const first = seedFor('verifier')
      for (let run = 0; run < runs; run++) {
        try {
          await verifyDamaged(first + run)
        } catch (error) {
          throw new Error(`Failed with SEED=${first + run} VERIFY_RUNS=1`, { cause: error })
        }
      }
    },
    runs * 500,
  )

  it('proves a block too that changes at every look', async () => {
    const random = seededRandom(seedFor('restless block'))
    const world = await World.make(random)
    for (let block = 0; block < fewBlocks; block++) if (block !== 17) world.still.add(block)
    world.writeChance = 0.9
    const report = await world.verifyAll()
    expect(report).toMatchObject({ checkedBytes: sizeOf(fewBlocks), differingBlocks: 0 })
    expect(report.replicaRoot).toBe(report.sourceRoot)
    expect(world.verified).toBeLessThanOrEqual(2)
  })

  it('asks once for each part of a disk at rest, and its roots tell contents apart', async () => {
    const random = seededRandom(seedFor('disk at rest'))
    const world = await World.make(random, mostBlocks)
    const first = await world.verifyAll()
    expect(world.verified).toBe(2)
    world.verification.apply(undefined)
    expect((await world.verifyAll()).sourceRoot).toBe(first.sourceRoot)
    change(world.source.bytes, 3, () => 0.123)
    world.disk.dirty.mark(3, 1)
    world.verification.apply(undefined)
    expect((await world.verifyAll()).sourceRoot).not.toBe(first.sourceRoot)
  })

  it('does a part again after certainty was lost in the middle of it, and calls nothing different that only changed', async () => {
    const random = seededRandom(seedFor('lost events'))
    const world = await World.make(random)
    world.verification.apply(1)
    const own = world.verification.next([world.disk], world.clock.now)
    if (own === undefined) throw new Error('There is nothing to verify')
    const verify = world.sender.verify.bind(world.sender)
    world.sender.verify = async (query) => {
      world.source.bytes[9 * blockSizeBytes] = (world.source.bytes[9 * blockSizeBytes] ?? 0) ^ 1
      world.isLost = true
      return await verify(query)
    }
    world.source.bytes[5 * blockSizeBytes] = (world.source.bytes[5 * blockSizeBytes] ?? 0) ^ 1
    await world.verifier.step(own, world.sender)
    expect(world.disk.scan?.purpose).toBe('RESCAN')
    expect(own.report(0)).toMatchObject({ checkedBytes: 0, differingBlocks: 0 })
    world.sender.verify = verify
    // What the rescan finds.
    world.disk.dirty.mark(5, 1)
    world.disk.dirty.mark(9, 1)
    await sweep([world.disk], world.sender, world.reader)
    if (world.disk.scan !== undefined) world.disk.scan.cursor = fewBlocks
    world.disk.finishScan(world.clock.now)
    expect(await world.verifyAll()).toMatchObject({ checkedBytes: sizeOf(fewBlocks), differingBlocks: 0 })
  })

  it('says of blocks that the source cannot give that nothing is known of them', async () => {
    const random = seededRandom(seedFor('unreadable source'))
    const world = await World.make(random)
    const bad = 20 * blockSizeBytes
    world.source.failure = (offset) =>
      offset === bad ? new UnreadableSectorError('/dev/disk0', bad) : undefined
    const report = await world.verifyAll()
    expect(report).toMatchObject({ unreadableBlocks: 1, differingBlocks: 0 })
    expect(report.replicaRoot).not.toBe(report.sourceRoot)
  })

  it('says that a block is not repaired which the staging disk does not keep', async () => {
    const random = seededRandom(seedFor('staging disk that lies'))
    const world = await World.make(random)
    const send = world.sender.sendExtent.bind(world.sender)
    const at = 30 * blockSizeBytes + 5
    const spoil = () => {
      world.copy[at] = 255 - (world.source.bytes[at] ?? 0)
    }
    spoil()
    world.sender.sendExtent = async (extent) => {
      await send(extent)
      spoil()
    }
    const report = await world.verifyAll()
    expect(report).toMatchObject({ differingBlocks: 1, damagedBlocks: 1, repairedBlocks: 0 })
    expect(named(report)).toEqual([30])
    expect(report.replicaRoot).not.toBe(report.sourceRoot)
  })
})

describe('Verification', () => {
  it('begins again with a disk that has grown, and keeps what was found', () => {
    const { disk } = numberedDisk(0, 3)
    disk.learnContents('PARTIAL', true, 0)
    const verification = new Verification()
    verification.apply(1)
    const own = verification.next([disk], 0)
    if (own === undefined) throw new Error('There is nothing to verify')
    const root = new Uint8Array(32)
    const checked = { sourceRoot: root, replicaRoot: root, unreadableBlocks: 0 }
    own.found(1, true)
    own.finishPart(own.nextPart(256), { ...checked, repairedBlocks: 1 }, 5)
    expect(own.isDone).toBe(true)
    disk.grow(5 * blockSizeBytes, 6)
    expect(verification.finish([disk], 7)).toBe(false)
    expect(verification.next([disk], 7)).toBe(own)
    expect(own.report(7)).toMatchObject({
      checkedBytes: 0,
      differingBlocks: 1,
      repairedBlocks: 0,
      durationMs: 7,
    })
    expect(own.report(7).sourceRoot).toBeUndefined()
    expect(own.nextPart(256)).toEqual({ firstBlock: 0, blockCount: 5 })
    own.found(4, false)
    own.finishPart(own.nextPart(256), { ...checked, repairedBlocks: 2 }, 9)
    expect(verification.finish([disk], 9)).toBe(true)
    expect(verification.report([disk], 10)?.disks).toMatchObject([
      {
        checkedBytes: 5 * blockSizeBytes,
        differingBlocks: 2,
        damagedBlocks: 1,
        repairedBlocks: 2,
        durationMs: 9,
      },
    ])
  })
})
