/**
 * Opening a volume: from what the last run left behind to an index that claims nothing doubtful. Doubtful entries become unknown, which
 * costs reading those blocks later and nothing else.
 * @module
 */
import { blockCountOf, blockSizeBytes, maxExtentBlocks } from '../domain/units.ts'
import { WireError } from '../wire/wire_error.ts'
import { defaultSegmentBlocks } from './activity_log.ts'
import type { VolumeCheckpoint } from './checkpoint.ts'
import { readFully, writeFully } from './disk.ts'
import type { Disk } from './disk.ts'
import { HashIndex, indexBytes } from './hash_index.ts'
import type { VolumeOptions } from './volume_parts.ts'

interface Recovered {
  index: HashIndex
  isWritten: boolean
}

/** Makes index and checkpoint right for {@link VolumeOptions.sizeBytes}. @throws WireError or the disk's own error. */
export async function recoverVolume(options: VolumeOptions): Promise<Recovered> {
  const { parts, sizeBytes } = options
  if (parts.data.sizeBytes < sizeBytes) {
    throw new WireError(
      'VOLUME_TOO_SMALL',
      `Cannot use volume ${options.volumeId}: it is smaller than disk ${options.diskIndex}; a larger one must be attached`,
      { expected: `at least ${sizeBytes}`, actual: parts.data.sizeBytes, diskIndex: options.diskIndex },
    )
  }
  const before = await parts.checkpoint.read()
  if (before !== undefined) requireNotShrunk(options, before)
  const { disk, bytesBefore } = await parts.openIndex(
    indexBytes(blockCountOf(sizeBytes)),
    before === undefined,
  )
  const index = new HashIndex(disk)
  try {
    const isWritten = await forgetDoubtful(options, before, index, bytesBefore)
    // The index first: while the checkpoint still names the active segments, this can be done again.
    await index.flush()
    await parts.checkpoint.write({
      sizeBytes,
      segmentBlocks: options.segmentBlocks ?? defaultSegmentBlocks,
      isWritten,
      activeSegments: [],
      isSuspect: false,
    })
    return { index, isWritten }
  } catch (error) {
    await index.close()
    throw error
  }
}

function requireNotShrunk(options: VolumeOptions, before: VolumeCheckpoint): void {
  if (options.sizeBytes >= before.sizeBytes) return
  throw new WireError(
    'OUT_OF_RANGE',
    `Cannot go on with volume ${options.volumeId}: disk ${options.diskIndex} is smaller than before; disconnect the ` +
      'server and add it again to start anew',
    { expected: `at least ${before.sizeBytes}`, actual: options.sizeBytes, diskIndex: options.diskIndex },
  )
}

/** Sets to unknown what can't be believed; answers whether the volume may hold anything but zeros. */
async function forgetDoubtful(
  options: VolumeOptions,
  before: VolumeCheckpoint | undefined,
  index: HashIndex,
  bytesBefore: number,
): Promise<boolean> {
  const blockCount = blockCountOf(options.sizeBytes)
  // The index was made anew, so it says zero of every block; that is right even if the file was replaced behind our back.
  if (options.parts.isDataZero) return false
  const isIndexOfBefore =
    before?.isWritten === true && bytesBefore === indexBytes(blockCountOf(before.sizeBytes))
  if (before === undefined || !isIndexOfBefore) {
    await index.forget(0, blockCount)
    return true
  }
  const isSuspect = before.isSuspect || options.isSuspect === true
  for (const segment of before.activeSegments) {
    const first = segment * before.segmentBlocks
    const count = Math.min(before.segmentBlocks, blockCountOf(before.sizeBytes) - first)
    if (isSuspect) await rewrite(options.parts.data, first, count)
    await index.forget(first, count)
  }
  // What a killed process wrote may still be in memory alone: a hash read from there must not outlive it.
  if (before.activeSegments.length > 0) await options.parts.data.flush()
  if (options.sizeBytes > before.sizeBytes) {
    // The last block may have been short, and what follows it is whatever the volume held there.
    const first = Math.floor(before.sizeBytes / blockSizeBytes)
    await index.forget(first, blockCount - first)
  }
  return true
}

/** Writes blocks back as they read, so that the next flush proves that they are on the disk and not in memory alone. */
async function rewrite(data: Disk, firstBlock: number, blockCount: number): Promise<void> {
  const pieceBytes = maxExtentBlocks * blockSizeBytes
  const end = Math.min((firstBlock + blockCount) * blockSizeBytes, data.sizeBytes)
  for (let offset = firstBlock * blockSizeBytes; offset < end; offset += pieceBytes) {
    const bytes = Buffer.allocUnsafe(Math.min(pieceBytes, end - offset))
    await readFully(data, bytes, offset)
    await writeFully(data, bytes, offset)
  }
}
