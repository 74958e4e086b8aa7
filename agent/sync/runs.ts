/**
 * Cuts extents into what is sent as blocks, what is only said to be zero, and what need not be sent.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { blockHashes, equalHashes, hashAt, zeroHash } from '../../wire/hash.ts'

/** Neighbouring blocks that are all zero, or all not. */
export interface Run {
  firstBlock: number
  blockCount: number
  isZero: boolean
  bytes: Uint8Array
  hashes: Uint8Array
}

/**
 * Cuts an extent wherever blocks of zeros begin or end; the hashes are of exactly these bytes.
 *
 * @param learn told of each block in order; those for which it answers true are left out.
 */
export function splitRuns(
  extent: Extent & { bytes: Uint8Array },
  learn: (block: number, hash: Uint8Array) => boolean,
): Run[] {
  const hashes = blockHashes(extent.bytes)
  const kinds = Array.from({ length: extent.blockCount }, (_, index) => {
    const hash = hashAt(hashes, index)
    if (learn(extent.firstBlock + index, hash)) return 'KNOWN'
    return equalHashes(hash, zeroHash) ? 'ZERO' : 'DATA'
  })
  const runs: Run[] = []
  for (let start = 0; start < extent.blockCount;) {
    let end = start + 1
    while (end < extent.blockCount && kinds[end] === kinds[start]) end += 1
    if (kinds[start] !== 'KNOWN')
      runs.push({
        firstBlock: extent.firstBlock + start,
        blockCount: end - start,
        isZero: kinds[start] === 'ZERO',
        bytes: extent.bytes.subarray(start * blockSizeBytes, end * blockSizeBytes),
        hashes: hashes.subarray(start * zeroHash.length, end * zeroHash.length),
      })
    start = end
  }
  return runs
}
