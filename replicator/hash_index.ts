/**
 * The hash index: 32 bytes for each block of a volume, in a file beside its data, so that a rescan need not read the data. It is never
 * held in memory; the operating system caches what is used.
 * @module
 */
import { hashBytes } from '../wire/message.ts'
import { unknownHash, zeroHash } from '../wire/hash.ts'
import { readFully, writeFully } from './disk.ts'
import type { Disk } from './disk.ts'

/** Entries that are read or written at once: 128 KiB, the hashes of 256 MiB. */
export const indexChunkBlocks = 4096

/** Bytes of the index of `blockCount` blocks. */
export function indexBytes(blockCount: number): number {
  return blockCount * hashBytes
}

/** Positions in `hashes` of a given hash. */
export function isHash(hashes: Uint8Array, index: number, hash: Uint8Array): boolean {
  const start = index * hashBytes
  return Buffer.compare(hashes.subarray(start, start + hashBytes), hash) === 0
}

/** Entry by entry: a block's hash, {@link zeroHash} or {@link unknownHash}. A new file, all zero, says that every block is zero. */
export class HashIndex {
  readonly #disk: Disk

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** The entries of `count` blocks from `first`, in memory of their own. Ask for {@link indexChunkBlocks} at most. */
  async read(first: number, count: number): Promise<Uint8Array> {
    const hashes = Buffer.allocUnsafe(indexBytes(count))
    await readFully(this.#disk, hashes, indexBytes(first))
    return hashes
  }

  /** Sets the entries from block `first`. An entry never crosses a sector or page, so an unclean end leaves the old or the new one. */
  async write(first: number, hashes: Uint8Array): Promise<void> {
    await writeFully(this.#disk, hashes, indexBytes(first))
  }

  /** Sets `count` entries to unknown. */
  async forget(first: number, count: number): Promise<void> {
    await this.#fill(first, count, unknownHash)
  }

  /** Sets `count` entries to zero. */
  async zero(first: number, count: number): Promise<void> {
    await this.#fill(first, count, zeroHash)
  }

  async #fill(first: number, count: number, hash: Uint8Array): Promise<void> {
    const hashes = Buffer.alloc(indexBytes(Math.min(count, indexChunkBlocks)), hash)
    for (let done = 0; done < count; done += indexChunkBlocks) {
      const length = Math.min(count - done, indexChunkBlocks)
      await this.write(first + done, hashes.subarray(0, indexBytes(length)))
    }
  }

  /** What was written is durable when it resolves. */
  async flush(): Promise<void> {
    await this.#disk.flush()
  }

  async close(): Promise<void> {
    await this.#disk.close()
  }
}
