/**
 * What the replicator has of the blocks that were sent last: a program that writes the same bytes once more (a log made ready, a table rewritten)
 * makes a block dirty that need not be sent.
 * @module
 */
import type { SentExtent } from './outstanding.ts'
import { hasBit } from '../../wire/bitmap.ts'
import { equalHashes, hashAt } from '../../wire/hash.ts'
import { hashBytes } from '../../wire/message.ts'

/** Blocks remembered: 4 GiB of what was written last, in 2.5 MiB. */
const places = 65_536

/** Disks apart from each other in the table, so that the same blocks of two of them don't push each other out. */
const diskStride = 7919

/** More blocks than any disk has. */
const blocksPerDisk = 2 ** 40

/**
 * Of each block the hash that was sent last in this session. Frames of a block never overtake each other, and what a session leaves
 * unacknowledged is dirty again, so what was sent last is what the replicator has or will have; a new session begins with nothing.
 */
export class KnownBlocks {
  /** Which block stands in each place; none at first. */
  readonly #keys = new Float64Array(places).fill(-1)
  readonly #hashes = new Uint8Array(places * hashBytes)

  /** Remembers what is about to be sent of a block; true when that is what was sent of it last. */
  learn(diskIndex: number, block: number, hash: Uint8Array): boolean {
    const place = placeOf(diskIndex, block)
    const key = keyOf(diskIndex, block)
    const own = hashAt(this.#hashes, place)
    if (this.#keys[place] === key && equalHashes(own, hash)) return true
    own.set(hash)
    this.#keys[place] = key
    return false
  }

  /** The replicator has something else, or nobody knows what. */
  forget({ diskIndex, firstBlock, blockCount }: SentExtent): void {
    for (let block = firstBlock; block < firstBlock + blockCount; block++) {
      const place = placeOf(diskIndex, block)
      if (this.#keys[place] === keyOf(diskIndex, block)) this.#keys[place] = -1
    }
  }

  /** The same of those blocks of an extent whose bit is set, least significant first. */
  forgetSet(extent: SentExtent, bitmap: Uint8Array): void {
    for (let index = 0; index < extent.blockCount; index++)
      if (hasBit(bitmap, index))
        this.forget({ ...extent, firstBlock: extent.firstBlock + index, blockCount: 1 })
  }
}

function placeOf(diskIndex: number, block: number): number {
  return (block + diskIndex * diskStride) % places
}

function keyOf(diskIndex: number, block: number): number {
  return diskIndex * blocksPerDisk + block
}
