import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import type { VolumeCheckpoint } from '../../../replicator/checkpoint.ts'
import type { Disk } from '../../../replicator/disk.ts'
import type { Volume } from '../../../replicator/volume.ts'
import { openVolume } from '../../../replicator/volume.ts'
import { blockHashes } from '../../../wire/hash.ts'
import { encodings } from '../../../wire/message.ts'
import { piecesHash } from '../../../wire/piece_list.ts'

const blockCount = 4
const sizeBytes = blockCount * blockSizeBytes - 1000

/** A disk in memory, some of its calls replaced. */
function memoryDisk(bytes: Buffer, faults: Partial<Disk> = {}): Disk {
  return {
    sizeBytes: bytes.length,
    read: (into, offset) => Promise.resolve(bytes.copy(into, 0, offset, offset + into.length)),
    write: (from, offset) => {
      bytes.set(from, offset)
      return Promise.resolve(from.length)
    },
    flush: () => Promise.resolve(),
    check: () => Promise.resolve(),
    close: () => Promise.resolve(),
    ...faults,
  }
}

async function open(
  data: Disk,
  index: Partial<Disk> = {},
  save: (checkpoint: VolumeCheckpoint) => void = () => {},
): Promise<Volume> {
  const hashes = Buffer.alloc(blockCount * 32)
  return await openVolume({
    volumeId: 'vol-1',
    diskIndex: 3,
    sizeBytes,
    parts: {
      data,
      identity: 'memory',
      isDataZero: () => Promise.resolve(true),
      openIndex: () => Promise.resolve({ disk: memoryDisk(hashes, index), bytesBefore: 0 }),
      checkpoint: {
        read: () => Promise.resolve(undefined),
        write: (checkpoint) => Promise.resolve(save(checkpoint)),
        remove: () => Promise.resolve(),
      },
    },
  })
}

function blocks(bytes: Buffer, firstBlock = 0): Parameters<Volume['writeBlocks']>[0] {
  return {
    type: 'BLOCKS',
    diskIndex: 3,
    firstBlock,
    blockCount: Math.ceil(bytes.length / blockSizeBytes),
    rawBytes: bytes.length,
    encoding: encodings.RAW,
    hashes: blockHashes(bytes),
    payload: bytes,
  }
}

function pieces(numbers: number[], bytes: Buffer): Parameters<Volume['writePieces']>[0] {
  return {
    type: 'PIECES',
    diskIndex: 3,
    pieces: numbers,
    rawBytes: bytes.length,
    encoding: encodings.RAW,
    hash: piecesHash(numbers, bytes),
    payload: bytes,
  }
}

describe('Volume', () => {
  it('writes pieces where they belong, the short last one too, and touches nothing else', async () => {
    const bytes = Buffer.alloc(sizeBytes)
    const volume = await open(memoryDisk(bytes))
    const before = randomBytes(sizeBytes)
    await volume.writeBlocks(blocks(before))
    const lastPiece = Math.floor(sizeBytes / 4096)
    const numbers = [0, 1, 15, 16, 40, lastPiece]
    const raw = randomBytes(5 * 4096 + (sizeBytes - lastPiece * 4096))
    await volume.writePieces(pieces(numbers, raw))
    const expected = Buffer.from(before)
    for (const [index, number] of numbers.entries())
      raw.copy(expected, number * 4096, index * 4096, (index + 1) * 4096)
    expect(bytes.equals(expected)).toBe(true)
    expect([...(await volume.compare(0, blockCount, blockHashes(expected)))]).toEqual([0])
  })

  it('knows nothing of a block from the moment that a piece of it may change', async () => {
    const bytes = Buffer.alloc(sizeBytes)
    const written = Promise.withResolvers<void>()
    const volume = await open(
      memoryDisk(bytes, {
        write: async (from, offset) => {
          if (from.length === 4096) await written.promise
          bytes.set(from, offset)
          return from.length
        },
      }),
    )
    const before = randomBytes(sizeBytes)
    await volume.writeBlocks(blocks(before))
    const write = volume.writePieces(pieces([17], randomBytes(4096)))
    let isAnswered = false
    const asked = volume.compare(0, blockCount, blockHashes(before)).then((bitmap) => {
      isAnswered = true
      return bitmap
    })
    for (let turn = 0; turn < 200; turn++) await Promise.resolve()
    expect(isAnswered).toBe(false)
    written.resolve()
    await write
    expect([...(await asked)]).toEqual([0b0010])
  })

  it.each([
    ['a piece beyond the disk', [Math.ceil(sizeBytes / 4096)], 4096, 'OUT_OF_RANGE'],
    ['a last piece that is too long', [Math.floor(sizeBytes / 4096)], 4096, 'OUT_OF_RANGE'],
    ['a piece that is too short', [3], 4095, 'OUT_OF_RANGE'],
  ])('refuses %s before anything is written', async (_name, numbers, length, code) => {
    const bytes = Buffer.alloc(sizeBytes)
    const volume = await open(memoryDisk(bytes))
    await expect(volume.writePieces(pieces(numbers, Buffer.alloc(length, 7)))).rejects.toMatchObject({ code })
    expect(bytes.every((byte) => byte === 0)).toBe(true)
    expect(volume.contents).toBe('EMPTY')
  })

  it('refuses pieces in other places than those that were hashed, and other bytes', async () => {
    const bytes = Buffer.alloc(sizeBytes)
    const volume = await open(memoryDisk(bytes))
    const good = pieces([1, 2], randomBytes(8192))
    for (const bad of [
      { ...good, pieces: [1, 3] },
      { ...good, payload: Buffer.alloc(8192, 1) },
    ])
      await expect(volume.writePieces(bad)).rejects.toMatchObject({ code: 'HASH_MISMATCH', diskIndex: 3 })
    expect(bytes.every((byte) => byte === 0)).toBe(true)
    expect(volume.failure).toBeUndefined()
  })

  it('does not give a message back while its bytes are still being written', async () => {
    const written = Promise.withResolvers<number>()
    const bytes = Buffer.alloc(sizeBytes)
    const volume = await open(memoryDisk(bytes, { write: () => written.promise }), {
      write: () => Promise.reject(Object.assign(new Error('Full'), { code: 'ENOSPC' })),
    })
    let isSettled = false
    const write = volume.writeBlocks(blocks(randomBytes(blockSizeBytes)))
    const settled = write.then(
      () => undefined,
      (error: unknown) => {
        isSettled = true
        return error
      },
    )
    for (let turn = 0; turn < 200; turn++) await Promise.resolve()
    expect(isSettled).toBe(false)
    written.resolve(blockSizeBytes)
    expect(await settled).toMatchObject({ code: 'NO_SPACE', diskIndex: 3 })
    expect(volume.failure?.code).toBe('NO_SPACE')
  })

  it('hashes and writes a last block that is shorter, and no byte after it', async () => {
    const disk = Buffer.alloc(blockCount * blockSizeBytes, 0xee)
    const volume = await open(memoryDisk(disk))
    const source = randomBytes(sizeBytes)
    await volume.writeBlocks(blocks(source))
    await volume.durable()
    expect(disk.subarray(0, sizeBytes).equals(source)).toBe(true)
    expect(disk.subarray(sizeBytes).every((byte) => byte === 0xee)).toBe(true)
    expect([...(await volume.compare(0, blockCount, blockHashes(source)))]).toEqual([0])
    await volume.writeZeros(blockCount - 1, 1)
    expect(disk.subarray((blockCount - 1) * blockSizeBytes, sizeBytes).every((byte) => byte === 0)).toBe(true)
    expect(disk.subarray(sizeBytes).every((byte) => byte === 0xee)).toBe(true)
    // A whole block where a shorter one belongs, and one beyond the disk.
    const whole = blocks(randomBytes(blockSizeBytes), blockCount - 1)
    await expect(volume.writeBlocks(whole)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' })
    await expect(volume.writeZeros(blockCount, 1)).rejects.toMatchObject({ code: 'OUT_OF_RANGE' })
    await expect(volume.compare(1, blockCount, new Uint8Array(blockCount * 32))).rejects.toMatchObject({
      code: 'OUT_OF_RANGE',
    })
    expect(volume.failure).toBeUndefined()
  })

  it('compares every byte of a hash', async () => {
    const volume = await open(memoryDisk(Buffer.alloc(sizeBytes)))
    const source = randomBytes(sizeBytes)
    await volume.writeBlocks(blocks(source))
    for (let byte = 0; byte < 32; byte++) {
      const hashes = blockHashes(source)
      hashes[32 + byte] = (hashes[32 + byte] ?? 0) ^ 1
      expect([...(await volume.compare(0, blockCount, hashes))]).toEqual([2])
      await expect(volume.writeBlocks({ ...blocks(source), hashes })).rejects.toMatchObject({
        code: 'HASH_MISMATCH',
      })
    }
  })

  it('acknowledges nothing that was written after the flush had begun', async () => {
    const flushes: PromiseWithResolvers<void>[] = []
    let isHeld = false
    const flush = async (): Promise<void> => {
      if (!isHeld) return
      const held = Promise.withResolvers<void>()
      flushes.push(held)
      await held.promise
    }
    const volume = await open(memoryDisk(Buffer.alloc(sizeBytes), { flush }))
    isHeld = true
    const order: string[] = []
    await volume.writeBlocks(blocks(randomBytes(blockSizeBytes), 0))
    const first = volume.durable().then(() => order.push('first'))
    await volume.writeBlocks(blocks(randomBytes(blockSizeBytes), 1))
    const second = volume.durable().then(() => order.push('second'))
    flushes[0]?.resolve()
    await first
    for (let turn = 0; turn < 50; turn++) await Promise.resolve()
    expect(order).toEqual(['first'])
    expect(flushes).toHaveLength(2)
    flushes[1]?.resolve()
    await second
  })

  it('is of no use once it is closed, and that is nobody else’s trouble', async () => {
    const saved: VolumeCheckpoint[] = []
    const volume = await open(memoryDisk(Buffer.alloc(sizeBytes)), {}, (checkpoint) => saved.push(checkpoint))
    await volume.writeBlocks(blocks(randomBytes(blockSizeBytes)))
    await volume.close()
    expect(saved.at(-1)).toMatchObject({ isWritten: true, activeSegments: [], identity: 'memory' })
    await expect(volume.writeZeros(0, 1)).rejects.toMatchObject({ code: 'SHUTTING_DOWN', retryable: true })
    await expect(volume.durable()).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
  })
})
