import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { AlignedPool, slotBytes } from '../../../agent/disk/aligned_pool.ts'
import { DiskGoneError, UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import type { ReadableHandle } from '../../../agent/disk/device_source.ts'
import { DeviceSource, openDevice } from '../../../agent/disk/device_source.ts'
import { systemClock } from '../../../agent/clock.ts'
import { randomBytesFrom, seededRandom } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'

const content = randomBytesFrom(seededRandom(7), 300 * 4096 + 512)

/** A disk in memory that reads `shortBytes` at most at a time and fails where `failure` says. */
function makeSource(
  options: {
    shortBytes?: number
    endsAt?: number
    isGone?: boolean
    failure?: (position: number, length: number) => string | undefined
  } = {},
) {
  const reads: [number, number][] = []
  const handle: ReadableHandle = {
    read: (into, offset, length, position) => {
      reads.push([position, length])
      expect(position % 4096).toBe(0)
      const code = options.failure?.(position, length)
      if (code !== undefined) return Promise.reject(Object.assign(new Error(code), { code }))
      const bytes = content.subarray(
        position,
        Math.min(position + Math.min(length, options.shortBytes ?? length), options.endsAt ?? content.length),
      )
      into.set(bytes, offset)
      return Promise.resolve({ bytesRead: bytes.length })
    },
    close: () => Promise.resolve(),
  }
  const source = new DeviceSource({
    deviceName: '/dev/test',
    identity: { stableId: 'serial' },
    sizeBytes: content.length,
    handle,
    clock: new FakeClock(),
    currentSize: () =>
      Promise.resolve(options.isGone === true ? undefined : (options.endsAt ?? content.length)),
  })
  return { source, reads }
}

const read = async (source: DeviceSource, offset: number, length: number): Promise<Buffer> => {
  const slot = await new AlignedPool(1).acquire()
  await source.read(offset, length, slot.bytes)
  return Buffer.from(slot.bytes.subarray(0, length))
}

describe('DeviceSource', () => {
  it('reads whole extents and the end that is no multiple of a page', async () => {
    const { source } = makeSource()
    expect((await read(source, 0, 65_536)).equals(content.subarray(0, 65_536))).toBe(true)
    expect((await read(source, 288 * 4096, 12 * 4096 + 512)).equals(content.subarray(288 * 4096))).toBe(true)
  })

  it('goes on after short reads, from an aligned position', async () => {
    for (const shortBytes of [4096, 5000, 12_288, 65_000]) {
      const { source } = makeSource({ shortBytes })
      expect((await read(source, 4096, 200_000)).equals(content.subarray(4096, 204_096))).toBe(true)
    }
  })

  it('finds the sector that cannot be read, and tries it several times', async () => {
    const bad = 17 * 4096
    const { source, reads } = makeSource({
      failure: (position, length) => (position <= bad && bad < position + length ? 'EIO' : undefined),
    })
    await expect(read(source, 0, 65_536 * 2)).rejects.toThrow(`Cannot read sector ${bad / 512} of /dev/test`)
    expect(reads.filter(([position, length]) => position === bad && length === 4096)).toHaveLength(3)
    expect((await read(source, 18 * 4096, 4096)).equals(content.subarray(18 * 4096, 19 * 4096))).toBe(true)
  })

  it('reads a sector that fails once', async () => {
    let failures = 2
    const { source } = makeSource({
      failure: (position) => (position === 0 && failures-- > 0 ? 'EIO' : undefined),
    })
    expect((await read(source, 0, 8192)).equals(content.subarray(0, 8192))).toBe(true)
  })

  it('tells a vanished and a shrunk disk from a bad sector', async () => {
    await expect(read(makeSource({ failure: () => 'ENXIO' }).source, 0, 4096)).rejects.toThrow(DiskGoneError)
    await expect(read(makeSource({ endsAt: 8192 }).source, 0, 65_536)).rejects.toThrow(
      'it ends there, though it had',
    )
    await expect(makeSource({ isGone: true }).source.currentSizeBytes()).rejects.toThrow(
      'is not there any more',
    )
    expect(await makeSource({ endsAt: 8192 }).source.currentSizeBytes()).toBe(8192)
  })

  it('takes a disk that was pulled out for gone, though it fails like a bad sector', async () => {
    const pulledOut = makeSource({ failure: () => 'EIO', isGone: true }).source
    await expect(read(pulledOut, 0, 4096)).rejects.toThrow(DiskGoneError)
    const shrunk = makeSource({ failure: () => 'EIO', endsAt: 8192 }).source
    await expect(read(shrunk, 0, 4096)).rejects.toThrow('at byte 8192: it ends there, though it had')
  })

  it('passes on what is neither', async () => {
    const failing = read(makeSource({ failure: () => 'EINVAL' }).source, 0, 4096)
    await expect(failing).rejects.toThrow('EINVAL')
    await expect(failing).rejects.not.toBeInstanceOf(UnreadableSectorError)
  })

  it('refuses what lies outside', async () => {
    await expect(read(makeSource().source, content.length - 512, 4096)).rejects.toThrow(RangeError)
    await expect(read(makeSource().source, 100, 4096)).rejects.toThrow(RangeError)
  })
})

describe('openDevice()', () => {
  it('reads a real file, with O_DIRECT where it can be', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rehost-source-'))
    try {
      const path = join(folder, 'disk.img')
      writeFileSync(path, content)
      const source = await openDevice(path, systemClock)
      const slot = await new AlignedPool(1).acquire()
      await source.read(256 * 4096, content.length - 256 * 4096, slot.bytes)
      expect(
        Buffer.from(slot.bytes.subarray(0, content.length - 256 * 4096)).equals(content.subarray(256 * 4096)),
      ).toBe(true)
      expect(await source.currentSizeBytes()).toBe(content.length)
      rmSync(path)
      await expect(source.currentSizeBytes()).rejects.toThrow(DiskGoneError)
      await source.close()
      await expect(openDevice(path, systemClock)).rejects.toThrow(
        'it does not exist; attach it or check its name',
      )
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('AlignedPool', () => {
  it('lets the next in line wait for memory, and gives each slot to one at a time', async () => {
    const pool = new AlignedPool(2)
    const [one, two] = [await pool.acquire(), await pool.acquire()]
    expect(one.bytes.length).toBe(slotBytes)
    expect(one.bytes.byteOffset % 4096).toBe(0)
    const order: string[] = []
    const third = pool.acquire().then((slot) => {
      order.push('third')
      return slot
    })
    const fourth = pool.acquire().then((slot) => {
      order.push('fourth')
      return slot
    })
    one.release()
    one.release()
    const slot = await third
    expect(slot.bytes.byteOffset).toBe(one.bytes.byteOffset)
    expect(order).toEqual(['third'])
    two.release()
    await fourth
    expect(pool.freeSlots).toBe(0)
  })
})
