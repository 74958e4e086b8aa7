import { describe, expect, it } from 'vitest'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import { Scanner } from '../../../agent/sync/scanner.ts'
import type { ExtentToSend, Sender } from '../../../agent/sync/sender.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { isAllZero } from '../../../wire/hash.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk } from './memory_disk.ts'

/** Blocks of one step of the scan. */
const stepBlocks = 256

/** The volume, and a far end that writes to it what a sender says, until its connection breaks. */
class MemoryVolume {
  readonly bytes: Uint8Array
  /** Extents that still arrive. */
  extentsLeft = Number.POSITIVE_INFINITY

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes)
  }

  readonly sender = {
    maxBlocksPerExtent: 16,
    sendExtent: ({ firstBlock, blockCount, bytes, isBlank }: ExtentToSend) => {
      if (this.extentsLeft === 0) return Promise.reject(new Error('The connection broke'))
      this.extentsLeft -= 1
      for (let index = 0; index < blockCount; index++) {
        const block = bytes.subarray(index * blockSizeBytes, (index + 1) * blockSizeBytes)
        if (!isBlank || !isAllZero(block)) this.bytes.set(block, (firstBlock + index) * blockSizeBytes)
      }
      return Promise.resolve()
    },
  } as unknown as Sender
}

describe('Scanner', () => {
  it('leaves nothing on the volume that became zero while the connection was down in the middle of a step', async () => {
    const random = seededRandom(seedFor('cut in a step'))
    const { disk, source } = memoryDisk(0, 2 * stepBlocks)
    const pool = new AlignedPool(6)
    const scanner = new Scanner(
      new Reader({ pool, clock: new FakeClock(), onUnreadable: () => undefined }),
      pool,
    )
    const volume = new MemoryVolume(disk.sizeBytes)
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

  it('says nothing of the zeros of a step that was never begun', async () => {
    const { disk } = memoryDisk(0, 2 * stepBlocks)
    const pool = new AlignedPool(6)
    const scanner = new Scanner(
      new Reader({ pool, clock: new FakeClock(), onUnreadable: () => undefined }),
      pool,
    )
    const said: [number, boolean][] = []
    let isBroken = true
    const sender = {
      maxBlocksPerExtent: 16,
      sendExtent: ({ firstBlock, isBlank }: ExtentToSend) => {
        if (isBroken) return Promise.reject(new Error('The connection broke'))
        said.push([firstBlock, isBlank])
        return Promise.resolve()
      },
    } as unknown as Sender
    disk.learnContents('EMPTY', false, 0)
    await expect(scanner.step(disk, sender)).rejects.toThrow('The connection broke')
    isBroken = false
    await scanner.step(disk, sender)
    await scanner.step(disk, sender)
    expect(said).toHaveLength(32)
    expect(said.every(([firstBlock, isBlank]) => isBlank === firstBlock >= stepBlocks)).toBe(true)
  })
})
