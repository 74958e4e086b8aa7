import { describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { blake3Digest } from '../../../wire/blake3.ts'
import {
  blockHash,
  blockHashes,
  equalHashes,
  fromHex,
  hashAt,
  isAllZero,
  RootHash,
  toHex,
  unknownHash,
  zeroHash,
} from '../../../wire/hash.ts'

// Published test vectors of BLAKE3: of no bytes, and of the single byte 0.
const hashOfNothing = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
const hashOfZeroByte = '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'

describe('blockHash()', () => {
  it('is BLAKE3', () => {
    expect(toHex(blake3Digest(new Uint8Array(0)))).toBe(hashOfNothing)
    expect(toHex(blake3Digest(new Uint8Array(1)))).toBe(hashOfZeroByte)
    const bytes = Buffer.from('some block')
    expect(blockHash(bytes)).toEqual(blake3Digest(bytes))
    expect(blockHash(bytes)).toHaveLength(32)
  })

  it('is the zero hash of an all-zero block, whole or short', () => {
    expect(blockHash(new Uint8Array(blockSizeBytes))).toEqual(zeroHash)
    expect(blockHash(new Uint8Array(512))).toEqual(zeroHash)
  })

  it('is never the unknown hash', () => {
    expect(equalHashes(unknownHash, blockHash(new Uint8Array(blockSizeBytes)))).toBe(false)
    expect(toHex(unknownHash)).toBe('ff'.repeat(32))
  })
})

describe('isAllZero()', () => {
  it('sees one bit anywhere', () => {
    for (const length of [
      1,
      2,
      511,
      blockSizeBytes,
      blockSizeBytes * 16,
      blockSizeBytes * 16 + 7,
      blockSizeBytes * 40,
    ]) {
      const view = new Uint8Array(length)
      expect(isAllZero(view)).toBe(true)
      for (const position of [0, length >> 1, length - 1]) {
        view[position] = 1
        expect(isAllZero(view)).toBe(false)
        view[position] = 0
      }
    }
  })

  it('is true of nothing', () => expect(isAllZero(new Uint8Array(0))).toBe(true))
})

describe('blockHashes()', () => {
  it('hashes block by block with a short last one', () => {
    const bytes = Buffer.alloc(blockSizeBytes * 2 + 100, 7)
    bytes.fill(0, blockSizeBytes, blockSizeBytes * 2)
    const hashes = blockHashes(bytes)
    expect(hashes).toHaveLength(96)
    expect(hashAt(hashes, 0)).toEqual(new Uint8Array(blockHash(bytes.subarray(0, blockSizeBytes))))
    expect(hashAt(hashes, 1)).toEqual(zeroHash)
    expect(hashAt(hashes, 2)).toEqual(new Uint8Array(blockHash(bytes.subarray(-100))))
  })
})

describe('RootHash', () => {
  it('depends on order and not on how the hashes are cut', () => {
    const hashes = blockHashes(
      Buffer.concat([Buffer.alloc(blockSizeBytes, 1), Buffer.alloc(blockSizeBytes, 2)]),
    )
    const whole = new RootHash()
    whole.update(hashes)
    const cut = new RootHash()
    cut.update(hashes.subarray(0, 5))
    cut.update(hashes.subarray(5))
    const swapped = new RootHash()
    swapped.update(hashAt(hashes, 1))
    swapped.update(hashAt(hashes, 0))
    const root = whole.digest()
    expect(root).toBe(toHex(blake3Digest(hashes)))
    expect(cut.digest()).toBe(root)
    expect(swapped.digest()).not.toBe(root)
    expect(toHex(fromHex(root))).toBe(root)
  })
})
