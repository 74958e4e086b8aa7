/**
 * Cuts extents into what is sent as blocks and what is only said to be zero.
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

/** Cuts an extent wherever blocks of zeros begin or end; the hashes are of exactly these bytes. */
export function splitRuns(extent: Extent & { bytes: Uint8Array }): Run[] {
  const hashes = blockHashes(extent.bytes)
  const isZero = (index: number) => equalHashes(hashAt(hashes, index), zeroHash)
  const runs: Run[] = []
  for (let start = 0; start < extent.blockCount;) {
    let end = start + 1
    while (end < extent.blockCount && isZero(end) === isZero(start)) end += 1
    runs.push({
      firstBlock: extent.firstBlock + start,
      blockCount: end - start,
      isZero: isZero(start),
      bytes: extent.bytes.subarray(start * blockSizeBytes, end * blockSizeBytes),
      hashes: hashes.subarray(start * zeroHash.length, end * zeroHash.length),
    })
    start = end
  }
  return runs
}
