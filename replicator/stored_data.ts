/**
 * What the data of a volume really are, whatever its index says: blocks are read again and compared with it.
 * @module
 */
import { maxExtentBlocks } from '../domain/units.ts'
import { equalHashes, hashAt, unknownHash } from '../wire/hash.ts'
import { hashBytes } from '../wire/message.ts'
import type { HashedDisk } from './block_hashes.ts'
import { hashData } from './block_hashes.ts'
import { damagedHash } from './hash_index.ts'

/** Blocks as they are stored. */
export interface StoredBlocks {
  /** Of the data; {@link damagedHash} for a block that cannot be read. */
  hashes: Uint8Array
  /** Positions of the blocks whose data are not what the index says, those known before too. */
  damaged: number[]
  /** Of these, the positions that the index did not mark yet. */
  found: number[]
}

/**
 * Reads `count` blocks from `first` and compares them with the index, which learns what it did not know and marks durably what is damaged.
 * Nobody may write the blocks meanwhile. @throws Error of the disks, but not for single sectors that cannot be read.
 */
export async function checkStored(disk: HashedDisk, first: number, count: number): Promise<StoredBlocks> {
  const hashes = new Uint8Array(count * hashBytes)
  for (let done = 0; done < count; done += maxExtentBlocks)
    await hashData(
      disk,
      first + done,
      hashes.subarray(done * hashBytes, (done + maxExtentBlocks) * hashBytes),
    )
  const claimed = await disk.index.read(first, count)
  const damaged: number[] = []
  const found: number[] = []
  let isLearnt = false
  for (let index = 0; index < count; index++) {
    const claim = hashAt(claimed, index)
    const stored = hashAt(hashes, index)
    const isReadable = !equalHashes(stored, damagedHash)
    if (isReadable && equalHashes(claim, stored)) continue
    if (isReadable && equalHashes(claim, unknownHash)) {
      claim.set(stored)
      isLearnt = true
      continue
    }
    damaged.push(index)
    if (equalHashes(claim, damagedHash)) continue
    found.push(index)
    claim.set(damagedHash)
  }
  if (isLearnt || found.length > 0) await disk.index.write(first, claimed)
  if (found.length > 0) await disk.index.flush()
  return { hashes, damaged, found }
}
