import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decodePayload, encodePayload, maxZstdWindowLog } from '../../../wire/encoding.ts'
import { encodings } from '../../../wire/message.ts'

describe('encodePayload() and decodePayload()', () => {
  it('shrink what compresses and give the same bytes back', async () => {
    const bytes = Buffer.alloc(65_536, 'rehost ')
    const { encoding, payload } = await encodePayload(bytes, encodings.ZSTD)
    expect(encoding).toBe(encodings.ZSTD)
    expect(payload.length).toBeLessThan(1000)
    expect(Buffer.from(await decodePayload(payload, encoding, bytes.length)).equals(bytes)).toBe(true)
  })

  it('leave alone what does not compress, and what need not', async () => {
    const bytes = randomBytes(65_536)
    expect(await encodePayload(bytes, encodings.ZSTD)).toEqual({ encoding: encodings.RAW, payload: bytes })
    expect((await encodePayload(Buffer.alloc(9), encodings.RAW)).encoding).toBe(encodings.RAW)
    expect(await decodePayload(bytes, encodings.RAW, bytes.length)).toBe(bytes)
  })

  it('refuse a payload that is no zstd, is longer than it says, or shorter', async () => {
    const badFrame = expect.objectContaining({ code: 'BAD_FRAME' }) as Error
    await expect(decodePayload(Buffer.from('nonsense'), encodings.ZSTD, 8)).rejects.toThrow(badFrame)
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
    await expect(decodePayload(bomb, encodings.ZSTD, 65_536)).rejects.toThrow(badFrame)
    await expect(decodePayload(zstdCompressSync(Buffer.alloc(10)), encodings.ZSTD, 11)).rejects.toThrow(
      badFrame,
    )
  })

  it('take payloads of any length, and refuse a window that would take the memory of many', async () => {
    for (const length of [1, 63, 64, 65, 16_384, 65_535, 1_048_576]) {
      const bytes = Buffer.alloc(length, 'rehost ')
      expect(
        Buffer.from(await decodePayload(zstdCompressSync(bytes), encodings.ZSTD, length)).equals(bytes),
      ).toBe(true)
    }
    // A frame of zstd: magic number, no contents size, window of 2^(10 + exponent), one last block that repeats a byte 65,536 times.
    const frame = (exponent: number): Buffer =>
      Buffer.concat([
        Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3]),
        Buffer.from([0b011, 0, 0x08]),
        Buffer.from('R'),
      ])
    expect(await decodePayload(frame(maxZstdWindowLog - 10), encodings.ZSTD, 65_536)).toHaveLength(65_536)
    const badFrame = expect.objectContaining({ code: 'BAD_FRAME' }) as Error
    await expect(decodePayload(frame(maxZstdWindowLog - 9), encodings.ZSTD, 65_536)).rejects.toThrow(badFrame)
  })
})
