import { describe, expect, it } from 'vitest'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { DiskGoneError, UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk } from './memory_disk.ts'

function makeReader() {
  const told: number[] = []
  const pool = new AlignedPool(2)
  const reader = new Reader({
    pool,
    clock: new FakeClock(),
    onUnreadable: (disk) => told.push(disk.unreadableCount),
  })
  return { reader, pool, told }
}

describe('Reader', () => {
  it('hands over everything but the blocks that cannot be read, and counts those', async () => {
    const { reader, pool, told } = makeReader()
    const { disk, source } = memoryDisk(0, 48)
    source.failure = (offset) =>
      (offset / 65_536) % 4 === 1 ? new UnreadableSectorError('/dev/disk0', offset) : undefined
    disk.dirty.mark(0, 48)
    const got: number[] = []
    for (let firstBlock = 0; firstBlock < 48; firstBlock += 16) {
      await reader.withExtent(disk, { firstBlock, blockCount: 16 }, (extent, bytes) => {
        for (let index = 0; index < extent.blockCount; index++) {
          expect(bytes[index * 65_536]).toBe(1 + extent.firstBlock + index)
          got.push(extent.firstBlock + index)
        }
        return Promise.resolve()
      })
    }
    expect(got).toEqual(Array.from({ length: 48 }, (_, block) => block).filter((block) => block % 4 !== 1))
    expect(disk.unreadableCount).toBe(12)
    expect(told).toEqual([1, 2, 4, 8])
    expect(disk.dirty.count).toBe(0)
    expect(pool.freeSlots).toBe(2)
  })

  it('names a block that still fails when others can be read again', async () => {
    const { reader } = makeReader()
    const { disk, source } = memoryDisk(0, 16)
    let bad = [3, 9]
    source.failure = (offset) =>
      bad.includes(offset / 65_536) ? new UnreadableSectorError('/dev/disk0', offset) : undefined
    const readAll = () => reader.withExtent(disk, { firstBlock: 0, blockCount: 16 }, () => Promise.resolve())
    await readAll()
    expect(disk.unreadable?.message).toBe(`Cannot read sector ${9 * 128} of /dev/disk0`)
    bad = [3]
    await reader.withExtent(disk, { firstBlock: 9, blockCount: 1 }, () => Promise.resolve())
    expect(disk.unreadable?.message).toBe(`Cannot read sector ${3 * 128} of /dev/disk0`)
    bad = []
    await readAll()
    expect(disk.unreadable).toBeUndefined()
  })

  it('keeps what is marked while it reads, and while what it read is sent', async () => {
    const { reader } = makeReader()
    const { disk, source } = memoryDisk(0, 16)
    disk.dirty.mark(0, 8)
    source.failure = (offset) => {
      if (offset === 3 * 65_536) disk.dirty.mark(3, 1)
      return undefined
    }
    await reader.withExtent(disk, { firstBlock: 0, blockCount: 8 }, () => {
      disk.dirty.mark(5, 1)
      return Promise.resolve()
    })
    expect([...disk.dirty.extents(0, 100)]).toEqual([
      { firstBlock: 3, blockCount: 1 },
      { firstBlock: 5, blockCount: 1 },
    ])
  })

  it('sets every mark again and gives the memory back when reading or sending fails', async () => {
    const { reader, pool } = makeReader()
    const { disk, source } = memoryDisk(0, 16)
    disk.dirty.mark(2, 3)
    const extent = { firstBlock: 2, blockCount: 3 }
    await expect(
      reader.withExtent(disk, extent, () => Promise.reject(new Error('The session is ending'))),
    ).rejects.toThrow('The session is ending')
    source.failure = () => new DiskGoneError('/dev/disk0', 'Gone')
    await expect(reader.withExtent(disk, extent, () => Promise.resolve())).rejects.toThrow('Gone')
    expect([...disk.dirty.extents(0, 100)]).toEqual([extent])
    expect([disk.bytesInHand, pool.freeSlots]).toEqual([0, 2])
  })
})
