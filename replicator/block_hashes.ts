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
import { readFully } from './disk.ts'
import type { Disk } from './disk.ts'
import type { HashIndex } from './hash_index.ts'
import { isHash } from './hash_index.ts'

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

/**
 * The hashes of `count` blocks from `first`, those that were unknown computed from the data and written back. Nobody may write the blocks
 * meanwhile. Ask for `indexChunkBlocks` at most. @throws Error of the disks.
 */
export async function readHashes(disk: HashedDisk, first: number, count: number): Promise<Uint8Array> {
  const { index } = disk
  const hashes = await index.read(first, count)
  const runs = runsOfUnknown(hashes, first).values()
  const lane = async (): Promise<void> => {
    for (const { firstBlock, blockCount } of runs) {
      const start = (firstBlock - first) * hashBytes
      const unknown = hashes.subarray(start, start + blockCount * hashBytes)
      await hashData(disk, firstBlock, unknown)
      await index.write(firstBlock, unknown)
    }
  }
  await allDone(Array.from({ length: readsAtOnce }, lane))
  return hashes
}

/** Fills `into` with the hashes of as many blocks from `firstBlock`, read from the data. @throws Error of the disk. */
export async function hashData(
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
