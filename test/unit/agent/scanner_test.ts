import { describe, expect, it } from 'vitest'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import { Scanner } from '../../../agent/sync/scanner.ts'
import type { ExtentToSend, Sender } from '../../../agent/sync/sender.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import type { HashThreads } from '../../../agent/disk/hash_threads.ts'
import { blockHashes, equalHashes, hashAt, isAllZero } from '../../../wire/hash.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk } from './memory_disk.ts'

/** Blocks of one step of the scan, where each extent takes {@link extentMs}: four are begun at once, and then one as another has ended. */
const stepBlocks = 256
const extentMs = 200 / 13 + 0.1

/** The volume, and a far end that writes to it what a sender says, until its connection breaks. */
class MemoryVolume {
  readonly bytes: Uint8Array
  readonly clock = new FakeClock()
  /** Extents that still arrive. */
  extentsLeft = Number.POSITIVE_INFINITY

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes)
  }

  readonly sender = {
    maxBlocksPerExtent: 16,
    extentsAtOnce: 4,
    sendExtent: ({ firstBlock, blockCount, bytes, isBlank }: ExtentToSend) => {
      if (this.extentsLeft === 0) return Promise.reject(new Error('The connection broke'))
      this.extentsLeft -= 1
      this.clock.now += extentMs
      for (let index = 0; index < blockCount; index++) {
        const block = bytes.subarray(index * blockSizeBytes, (index + 1) * blockSizeBytes)
        if (!isBlank || !isAllZero(block)) this.bytes.set(block, (firstBlock + index) * blockSizeBytes)
      }
      return Promise.resolve()
    },
  } as unknown as Sender
}

function makeScanner(clock: FakeClock, hashThreads?: HashThreads): Scanner {
  const pool = new AlignedPool(6)
  const reader = new Reader({ pool, clock, onUnreadable: () => undefined })
  return new Scanner({ reader, pool, clock, hashThreads })
}

/** A far end that answers questions from the hashes of its own bytes, some time later. */
class MemoryIndex {
  readonly asked: { firstBlock: number; blockCount: number }[] = []
  readonly bytes: Uint8Array
  readonly #clock: FakeClock
  readonly #random: () => number
  underWay = 0
  mostUnderWay = 0
  /** Questions that are still answered. */
  answersLeft = Number.POSITIVE_INFINITY

  constructor(bytes: Uint8Array, clock: FakeClock, random: () => number) {
    this.bytes = bytes
    this.#clock = clock
    this.#random = random
  }

  readonly sender = {
    maxBlocksPerExtent: 16,
    extentsAtOnce: 4,
    queryHashes: async (query: { firstBlock: number; blockCount: number; hashes: Uint8Array }) => {
      const { firstBlock, blockCount, hashes } = query
      this.asked.push({ firstBlock, blockCount })
      this.underWay += 1
      this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay)
      const turns = randomInt(this.#random, 0, 30)
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      this.#clock.now += randomInt(this.#random, 0, 60)
      this.underWay -= 1
      if (this.answersLeft === 0) throw new Error('The connection broke')
      this.answersLeft -= 1
      const own = blockHashes(
        this.bytes.subarray(firstBlock * blockSizeBytes, (firstBlock + blockCount) * blockSizeBytes),
      )
      const bitmap = new Uint8Array(Math.ceil(blockCount / 8))
      for (let index = 0; index < blockCount; index++)
        if (!equalHashes(hashAt(own, index), hashAt(hashes, index)))
          bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
      return bitmap
    },
  } as unknown as Sender
}

describe('Scanner', () => {
  it('leaves nothing on the volume that became zero while the connection was down in the middle of a step', async () => {
    const random = seededRandom(seedFor('cut in a step'))
    const { disk, source } = memoryDisk(0, 2 * stepBlocks)
    const volume = new MemoryVolume(disk.sizeBytes)
    const scanner = makeScanner(volume.clock)
    disk.learnContents('EMPTY', false, 0)
    let cuts = 0
    for (let attempt = 1; disk.scan !== undefined && disk.scan.cursor < disk.blockCount; attempt++) {
      // Of its 16 extents some arrive, three times; then the step goes through.
      volume.extentsLeft = attempt % 4 === 0 ? 16 : randomInt(random, 1, 15)
      try {
        await scanner.step(disk, volume.sender)
      } catch {
        cuts += 1
        for (let count = 0; count < 60; count++) {
          const block = randomInt(random, 0, disk.blockCount - 1)
          const isZero = random() < 0.7
          const bytes = isZero ? new Uint8Array(blockSizeBytes) : randomBytesFrom(random, blockSizeBytes)
          source.bytes.set(bytes, block * blockSizeBytes)
          disk.dirty.mark(block, 1)
        }
        disk.learnContents('PARTIAL', false, 0)
      }
    }
    expect(cuts).toBe(6)
    const differing = Array.from({ length: disk.blockCount }, (_, block) => block).filter((block) => {
      const [from, to] = [block * blockSizeBytes, (block + 1) * blockSizeBytes]
      return (
        !disk.dirty.has(block) &&
        !source.bytes.subarray(from, to).every((byte, at) => volume.bytes[from + at] === byte)
      )
    })
    expect(differing).toEqual([])
  })

  it('says nothing of the zeros of extents that were never begun', async () => {
    const { disk } = memoryDisk(0, 2 * stepBlocks)
    const clock = new FakeClock()
    const scanner = makeScanner(clock)
    const said: [number, boolean][] = []
    let isBroken = true
    const sender = {
      maxBlocksPerExtent: 16,
      extentsAtOnce: 4,
      sendExtent: ({ firstBlock, isBlank }: ExtentToSend) => {
        if (isBroken) return Promise.reject(new Error('The connection broke'))
        said.push([firstBlock, isBlank])
        clock.now += extentMs
        return Promise.resolve()
      },
    } as unknown as Sender
    disk.learnContents('EMPTY', false, 0)
    await expect(scanner.step(disk, sender)).rejects.toThrow('The connection broke')
    isBroken = false
    const begunBlocks = 4 * 16
    await scanner.step(disk, sender)
    await scanner.step(disk, sender)
    expect(said).toHaveLength(32)
    expect(said.every(([firstBlock, isBlank]) => isBlank === firstBlock >= begunBlocks)).toBe(true)
  })

  it('finds exactly the blocks that differ, however answers and broken connections fall', async () => {
    const random = seededRandom(seedFor('comparison'))
    for (let round = 0; round < 8; round++) {
      const { disk, source } = memoryDisk(0, randomInt(random, 1, 800))
      const clock = new FakeClock()
      const index = new MemoryIndex(Uint8Array.from(source.bytes), clock, random)
      const differing = new Set<number>()
      for (let count = randomInt(random, 0, 40); count > 0; count--) {
        const block = randomInt(random, 0, disk.blockCount - 1)
        index.bytes[block * blockSizeBytes + randomInt(random, 0, blockSizeBytes - 1)] = 0
        differing.add(block)
      }
      disk.learnContents('PARTIAL', true, 0)
      const scanner = makeScanner(clock)
      while (disk.scan !== undefined && disk.scan.cursor < disk.blockCount) {
        const before = disk.scan.cursor
        index.answersLeft = random() < 0.5 ? Number.POSITIVE_INFINITY : randomInt(random, 0, 2)
        await scanner.step(disk, index.sender).catch(() => expect(disk.scan?.cursor).toBe(before))
        expect(index.underWay).toBe(0)
      }
      const marked = Array.from({ length: disk.blockCount }, (_, block) => block).filter((block) =>
        disk.dirty.has(block),
      )
      expect(marked).toEqual([...differing].sort((left, right) => left - right))
      expect(index.mostUnderWay).toBeLessThanOrEqual(4)
      for (const { firstBlock, blockCount } of index.asked)
        expect(Math.floor(firstBlock / 256)).toBe(Math.floor((firstBlock + blockCount - 1) / 256))
    }
  })

  it('goes no further with a scan that another one has replaced', async () => {
    const random = seededRandom(seedFor('replaced'))
    const { disk, source } = memoryDisk(0, 1024)
    const clock = new FakeClock()
    const index = new MemoryIndex(Uint8Array.from(source.bytes), clock, random)
    disk.learnContents('PARTIAL', true, 0)
    source.failure = (offset) => {
      if (offset === 300 * blockSizeBytes) disk.loseCertainty(1)
      return undefined
    }
    await makeScanner(clock).step(disk, index.sender)
    expect(disk.scan?.cursor).toBe(0)
    expect(Math.max(...index.asked.map(({ firstBlock }) => firstBlock))).toBeLessThan(512)
  })
})
