import { describe, expect, it } from 'vitest'
import { captureDirty } from '../../../agent/consistency/frozen_capture.ts'
import { AlignedPool } from '../../../agent/disk/aligned_pool.ts'
import { DiskGoneError, UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { Reader } from '../../../agent/sync/reader.ts'
import type { ExtentToSend, PiecesToSend, Sender } from '../../../agent/sync/sender.ts'
import { FakeClock } from './fake_clock.ts'
import { memoryDisk } from './memory_disk.ts'

describe('captureDirty()', () => {
  const clock = new FakeClock()
  const reader = new Reader({ pool: new AlignedPool(2), clock, onUnreadable: () => undefined })
  const quiet = () => Promise.resolve(true)

  /** Two disks; blocks 1 and 2 of the first and block 3 of the second have changed. */
  function twoDisks() {
    const first = memoryDisk(0, 8)
    const second = memoryDisk(1, 8)
    first.disk.dirty.mark(1, 2)
    second.disk.dirty.mark(3, 1)
    return { first, second, disks: [first.disk, second.disk] }
  }

  it('holds every changed block and leaves none marked', async () => {
    const { disks, first } = twoDisks()
    first.disk.learnContents('EMPTY', false, 0)
    if (first.disk.scan !== undefined) first.disk.scan.cursor = first.disk.blockCount
    first.disk.finishScan(0)
    first.disk.dirty.mark(1, 2)
    first.disk.markChanged({ firstBlock: 4, blockCount: 1, pieces: 2 })
    first.disk.markChanged({ firstBlock: 6, blockCount: 1, pieces: 1 })
    const capture = await captureDirty({ disks, reader, clock, drain: quiet })
    if (!('held' in capture)) throw new Error('Nothing is held')
    const sent: string[] = []
    const sender = {
      maxPiecesPerFrame: 256,
      laneOf: () => 0,
      sendExtent: ({ diskIndex, firstBlock, bytes }: ExtentToSend) => {
        expect(bytes.every((byte) => byte === firstBlock + 1)).toBe(true)
        sent.push(`block ${diskIndex}/${firstBlock}`)
        return Promise.resolve()
      },
      sendPieces: ({ diskIndex, pieces, bytes }: PiecesToSend) => {
        for (const [index, piece] of pieces.entries())
          expect(bytes[index * 4096]).toBe(Math.floor(piece / 16) + 1)
        expect(bytes.length).toBe(pieces.length * 4096)
        sent.push(`pieces ${diskIndex}/${pieces.join()}`)
        return Promise.resolve()
      },
    } as unknown as Sender
    await capture.held.send(sender)
    expect(sent).toEqual(['block 0/1', 'block 0/2', 'pieces 0/65,96', 'block 1/3'])
    expect(capture.held.bytes).toBe(3 * 65_536 + 2 * 4096)
    expect(disks.map((disk) => disk.dirty.count)).toEqual([0, 0])
  })

  it('gives everything back when a disk vanishes in the middle', async () => {
    const { disks, second } = twoDisks()
    second.source.failure = () => new DiskGoneError('/dev/disk1', 'It is gone')
    await expect(captureDirty({ disks, reader, clock, drain: quiet })).rejects.toThrow('It is gone')
    expect(disks.map((disk) => disk.dirty.count)).toEqual([2, 1])
  })

  it('gives everything back when the trackers cannot be asked any more', async () => {
    const { disks } = twoDisks()
    let asked = 0
    const drain = () => (++asked > 1 ? Promise.reject(new Error('Asked in vain')) : Promise.resolve(true))
    await expect(captureDirty({ disks, reader, clock, drain })).rejects.toThrow('Asked in vain')
    expect(disks.map((disk) => disk.dirty.count)).toEqual([2, 1])
  })

  it('gives everything back when changes were lost, and when a sector cannot be read', async () => {
    const { disks, second } = twoDisks()
    let asked = 0
    const drain = () => Promise.resolve(++asked === 1)
    expect(await captureDirty({ disks, reader, clock, drain })).toMatchObject({
      reason: expect.stringContaining('changes were lost'),
    })
    expect(disks.map((disk) => disk.dirty.count)).toEqual([2, 1])
    second.source.failure = () => new UnreadableSectorError('/dev/disk1', 3 * 65_536)
    expect(await captureDirty({ disks, reader, clock, drain: quiet })).toMatchObject({
      reason: expect.stringContaining('cannot be read'),
    })
    // The unreadable block is remembered apart and tried again later.
    expect(disks.map((disk) => disk.dirty.count)).toEqual([2, 0])
    expect(second.disk.unreadableCount).toBe(1)
  })

  it('refuses what does not fit the memory set aside for it, and what never becomes quiet', async () => {
    const large = memoryDisk(0, 1200)
    large.disk.dirty.mark(0, 1200)
    expect(await captureDirty({ disks: [large.disk], reader, clock, drain: quiet })).toMatchObject({
      reason: expect.stringContaining('at most 67 MB fit'),
    })
    const restless = memoryDisk(0, 8).disk
    const write = () => {
      restless.dirty.mark(5, 1)
      return Promise.resolve(true)
    }
    expect(await captureDirty({ disks: [restless], reader, clock, drain: write })).toMatchObject({
      reason: expect.stringContaining('still changed'),
    })
    expect(restless.dirty.has(5)).toBe(true)
  })
})
