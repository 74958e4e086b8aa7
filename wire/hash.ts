/**
 * Block hashes: what names the contents of a block on the wire, in the replicator's index and in proofs. An all-zero block's hash is 32
 * zero bytes and every other block's is BLAKE3, so each content has exactly one hash.
 * @module
 */
import { blockSizeBytes } from '../domain/units.ts'
import { blake3Digest, blake3Stream } from './blake3.ts'
import { hashBytes } from './message.ts'

/** The hash of a block whose bytes are all zero, whatever its length. */
export const zeroHash: Uint8Array = new Uint8Array(hashBytes)

/** What stands for a block whose contents are not known: it equals no block's hash. */
export const unknownHash: Uint8Array = new Uint8Array(hashBytes).fill(0xff)

const zeros = Buffer.alloc(blockSizeBytes * 16)

/** Whether every byte of `view` is zero. True of an empty view. */
export function isAllZero(view: Uint8Array): boolean {
  // The first bytes decide nearly always, without a call into native code.
  if ((view[0] ?? 0) !== 0) return false
  for (let offset = 0; offset < view.length; offset += zeros.length) {
    const end = Math.min(offset + zeros.length, view.length)
    if (zeros.compare(view, offset, end, 0, end - offset) !== 0) return false
  }
  return true
}

/** The hash of one block's bytes: {@link zeroHash} when all are zero, else BLAKE3. Always {@link hashBytes} long. */
export function blockHash(view: Uint8Array): Uint8Array {
  return isAllZero(view) ? zeroHash : blake3Digest(view)
}

/** The hashes of `view` cut into blocks, one after the other; the last block may be short. */
export function blockHashes(view: Uint8Array): Uint8Array {
  const count = Math.ceil(view.length / blockSizeBytes)
  const hashes = new Uint8Array(count * hashBytes)
  for (let index = 0; index < count; index++) {
    const start = index * blockSizeBytes
    hashes.set(blockHash(view.subarray(start, start + blockSizeBytes)), index * hashBytes)
  }
  return hashes
}

/** The hash at position `index` of hashes that stand one after the other: a view, not a copy. */
export function hashAt(hashes: Uint8Array, index: number): Uint8Array {
  return hashes.subarray(index * hashBytes, (index + 1) * hashBytes)
}

/** Whether two hashes are the same. */
export function equalHashes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && Buffer.compare(left, right) === 0
}

/** Lower-case hexadecimal of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

/** The bytes behind hexadecimal `text`. */
export function fromHex(text: string): Uint8Array {
  return Buffer.from(text, 'hex')
}

/** The root of a part of a volume: BLAKE3 over the hashes of its blocks in order. */
export function rootOf(hashes: Uint8Array): Uint8Array {
  return blake3Digest(hashes)
}

/** A volume's root: BLAKE3 over the hashes of its blocks in order. Fed with hashes as they come; both ends compute it on their own. */
export class RootHash {
  readonly #stream = blake3Stream()

  /** Adds the next hashes, one after the other. */
  update(hashes: Uint8Array): void {
    this.#stream.update(hashes)
  }

  /** The root of everything added, in hexadecimal. */
  digest(): string {
    return toHex(this.#stream.digest())
  }
}
