/**
 * The hashes of a volume's blocks: from its index, and from its data where the index does not know.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { blockLengthBytes, blockSizeBytes, extentBytes, maxExtentBlocks } from '../domain/units.ts'
import { blockHash, equalHashes, hashAt, isAllZero, toHex, unknownHash } from '../wire/hash.ts'
import { decodePayload } from '../wire/encoding.ts'
import { hashBytes } from '../wire/message.ts'
import type { Message } from '../wire/message.ts'
import { WireError } from '../wire/wire_error.ts'
import { allDone } from './all_done.ts'
import { isUnreadable, readFully } from './disk.ts'
import type { Disk } from './disk.ts'
import type { HashIndex } from './hash_index.ts'
import { damagedHash, isHash } from './hash_index.ts'

/** Runs of blocks read at once when their hashes are wanted: 4 MiB at most. */
const readsAtOnce = 4

/** A BLOCKS message. */
export type BlocksMessage = Extract<Message, { type: 'BLOCKS' }>

/** Where a volume's blocks and their hashes are. */
export interface HashedDisk {
  data: Disk
  index: HashIndex
  /** Of the source disk, on which the length of the last block depends. */
  sizeBytes: number
}

/** The blocks in `hashes`, those of the blocks from `first`, that are not known: in runs as long as what is read at once. */
export function runsOfUnknown(hashes: Uint8Array, first: number): Extent[] {
  const count = hashes.length / hashBytes
  const runs: Extent[] = []
  let position = 0
  while (position < count) {
    if (!isHash(hashes, position, unknownHash)) {
      position++
      continue
    }
    let end = position + 1
    while (end < count && end - position < maxExtentBlocks && isHash(hashes, end, unknownHash)) end++
    runs.push({ firstBlock: first + position, blockCount: end - position })
    position = end
  }
  return runs
}

/** What is known of blocks after their data were read where that was needed. */
export interface ReadHashes {
  /** {@link damagedHash} for a block that is damaged. */
  hashes: Uint8Array
  /** Ascending positions of the blocks that were unknown and turned out to be unreadable. */
  found: number[]
}

/**
 * The hashes of `count` blocks from `first`, those that were unknown computed from the data and written back. One that can't be read is
 * durably marked as damaged: if reading it were tried again and again, nothing else of the volume could be used. Nobody may write the blocks
 * meanwhile. Ask for `indexChunkBlocks` at most. @throws Error of the disks, but not for single sectors that can't be read.
 */
export async function readHashes(disk: HashedDisk, first: number, count: number): Promise<ReadHashes> {
  const { index } = disk
  const hashes = await index.read(first, count)
  const runs = runsOfUnknown(hashes, first).values()
  const found: number[] = []
  const lane = async (): Promise<void> => {
    for (const { firstBlock, blockCount } of runs) {
      const start = (firstBlock - first) * hashBytes
      const unknown = hashes.subarray(start, start + blockCount * hashBytes)
      const isWhole = await hashData(disk, firstBlock, unknown)
      await index.write(firstBlock, unknown)
      if (isWhole) continue
      for (let block = 0; block < blockCount; block++)
        if (isHash(unknown, block, damagedHash)) found.push(firstBlock - first + block)
    }
  }
  await allDone(Array.from({ length: readsAtOnce }, lane))
  // A disk that can't read a sector now may give something else for it later: nobody would know any more that it is wrong.
  if (found.length > 0) await index.flush()
  return { hashes, found: found.sort((left, right) => left - right) }
}

/**
 * Fills `into` with the hashes of as many blocks from `firstBlock`, read from the data: one by one where something can't be read, and with
 * {@link damagedHash} for those that can't. Answers whether all could be read. @throws Error of the disk, but not for single sectors.
 */
export async function hashData(disk: HashedDisk, firstBlock: number, into: Uint8Array): Promise<boolean> {
  try {
    await hashExtent(disk, firstBlock, into)
    return true
  } catch (error) {
    if (!isUnreadable(error)) throw error
  }
  if (into.length === hashBytes) {
    into.set(damagedHash)
    return false
  }
  let isWhole = true
  for (let start = 0; start < into.length; start += hashBytes) {
    const own = into.subarray(start, start + hashBytes)
    if (!(await hashData(disk, firstBlock + start / hashBytes, own))) isWhole = false
  }
  return isWhole
}

async function hashExtent(
  { data, sizeBytes }: HashedDisk,
  firstBlock: number,
  into: Uint8Array,
): Promise<void> {
  const blockCount = into.length / hashBytes
  const { offsetBytes, lengthBytes } = extentBytes({ firstBlock, blockCount }, sizeBytes)
  const bytes = Buffer.allocUnsafe(lengthBytes)
  await readFully(data, bytes, offsetBytes)
  if (isAllZero(bytes)) {
    into.fill(0)
    return
  }
  for (let index = 0; index < blockCount; index++) {
    const start = index * blockSizeBytes
    const length = blockLengthBytes(firstBlock + index, sizeBytes)
    into.set(blockHash(bytes.subarray(start, start + length)), index * hashBytes)
  }
}

/**
 * The raw bytes of `message`, once every block has the hash that it should have.
 * @throws WireError HASH_MISMATCH naming the block of `volume`, or BAD_FRAME.
 */
export async function verifiedBytes(
  message: BlocksMessage,
  volume: { volumeId: string; diskIndex: number },
): Promise<Uint8Array> {
  const raw = await decodePayload(message.payload, message.encoding, message.rawBytes)
  for (let index = 0; index < message.blockCount; index++) {
    const start = index * blockSizeBytes
    const actual = blockHash(raw.subarray(start, start + blockSizeBytes))
    const expected = hashAt(message.hashes, index)
    if (equalHashes(actual, expected)) continue
    throw new WireError(
      'HASH_MISMATCH',
      `Cannot write block ${message.firstBlock + index} of volume ${volume.volumeId}: its bytes are not those that were ` +
        'hashed; they are sent again. If it comes back, test the memory of both machines',
      { expected: toHex(expected), actual: toHex(actual), diskIndex: volume.diskIndex },
    )
  }
  return raw
}
