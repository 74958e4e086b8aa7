/**
 * Opening a volume: from what the last run left behind to an index that claims nothing doubtful. Doubtful entries become unknown, which
 * costs reading those blocks later and nothing else.
 * @module
 */
import { randomUUID } from 'node:crypto'
import { blockCountOf, blockSizeBytes, maxExtentBlocks } from '../domain/units.ts'
import { WireError } from '../wire/wire_error.ts'
import { defaultSegmentBlocks } from './activity_log.ts'
import type { VolumeCheckpoint } from './checkpoint.ts'
import { isUnreadable, readFully, writeFully } from './disk.ts'
import type { Disk } from './disk.ts'
import { damagedHash, HashIndex, indexBytes } from './hash_index.ts'
import type { VolumeOptions } from './volume_parts.ts'

interface Recovered {
  index: HashIndex
  isWritten: boolean
  copyId: string
  /** Ascending: blocks that turned out to be unreadable. The index marks them as damaged. */
  damaged: number[]
}

/** Makes index and checkpoint right for {@link VolumeOptions.sizeBytes}. @throws WireError or the disk's own error. */
export async function recoverVolume(options: VolumeOptions): Promise<Recovered> {
  const { parts, sizeBytes } = options
  requireRoom(options)
  const before = await parts.checkpoint.read()
  if (before !== undefined) requireNotShrunk(options, before)
  await flushLeftovers(options, before)
  // Only now does the file system tell for certain.
  const isZero = await parts.isDataZero()
  const isReplaced = before !== undefined && isOtherData(options, before)
  if (isReplaced && !isZero) requireNewRun(options)
  const isSuspect = before?.isSuspect === true || options.isSuspect === true
  const isRewritten = isSuspect && before !== undefined && !isZero && !isReplaced
  const damaged = isRewritten ? await rewriteActive(parts.data, before) : []
  const known = before?.isWritten === true && !isZero && !isReplaced ? before : undefined
  // An index that is dropped must not be taken for a good one, whatever the data are when this is done again, nor the copy for the same.
  if (before?.isWritten === true && known === undefined) {
    const { copyId: _, ...rest } = before
    await parts.checkpoint.write({ ...rest, isWritten: false })
  }
  const copyId = keptCopyId(before, known !== undefined, isZero) ?? (options.newCopyId ?? randomUUID)()
  const { disk, bytesBefore } = await parts.openIndex(
    indexBytes(blockCountOf(sizeBytes)),
    known === undefined,
  )
  const index = new HashIndex(disk)
  try {
    // A new index says zero of every block.
    if (!isZero) await forgetDoubtful(options, known, index, bytesBefore)
    for (const block of damaged) await index.write(block, damagedHash)
    // The index first: while the checkpoint still names the active segments, this can be done again.
    await index.flush()
    await parts.checkpoint.write({
      sizeBytes,
      segmentBlocks: options.segmentBlocks ?? defaultSegmentBlocks,
      isWritten: !isZero,
      activeSegments: [],
      isSuspect: false,
      copyId,
      ...(parts.identity === undefined ? {} : { identity: parts.identity }),
    })
    return { index, isWritten: !isZero, copyId, damaged }
  } catch (error) {
    await index.close()
    throw error
  }
}

/**
 * The name of the copy if it is still the one that bears it: the data are those that were written, or none ever were and none are there.
 * An agent that was acknowledged blocks under a name goes on without comparing, so a doubtful name must never come back.
 */
function keptCopyId(
  before: VolumeCheckpoint | undefined,
  isKnown: boolean,
  isZero: boolean,
): string | undefined {
  const isStillEmpty = before?.isWritten === false && isZero
  return isKnown || isStillEmpty ? before?.copyId : undefined
}

function requireRoom({ volumeId, diskIndex, sizeBytes, parts }: VolumeOptions): void {
  if (parts.data.sizeBytes >= sizeBytes) return
  throw new WireError(
    'VOLUME_TOO_SMALL',
    `Cannot use volume ${volumeId}: it has ${parts.data.sizeBytes} bytes and disk ${diskIndex} has ${sizeBytes}; a larger ` +
      'one must be attached: disconnect the server and add it again',
    { expected: `at least ${sizeBytes}`, actual: parts.data.sizeBytes, diskIndex },
  )
}

function requireNotShrunk({ volumeId, diskIndex, sizeBytes }: VolumeOptions, before: VolumeCheckpoint): void {
  if (sizeBytes >= before.sizeBytes) return
  throw new WireError(
    'OUT_OF_RANGE',
    `Cannot go on with volume ${volumeId}: disk ${diskIndex} is smaller than before, ${sizeBytes} bytes instead of ` +
      `${before.sizeBytes}; disconnect the server and add it again to start anew`,
    { expected: `at least ${before.sizeBytes}`, actual: sizeBytes, diskIndex },
  )
}

/**
 * Makes durable what a run that was killed has left in memory: a hash read from there must not outlive it. When that fails, the next
 * flush may succeed because the kernel has given the pages up, so it is written down that what reads back proves nothing.
 */
async function flushLeftovers(options: VolumeOptions, before: VolumeCheckpoint | undefined): Promise<void> {
  const { data, checkpoint } = options.parts
  try {
    await data.flush()
  } catch (error) {
    options.onSuspect?.()
    if (before !== undefined && !before.isSuspect) await checkpoint.write({ ...before, isSuspect: true })
    throw error
  }
}

function isOtherData({ parts }: VolumeOptions, before: VolumeCheckpoint): boolean {
  return before.isWritten && before.identity !== undefined && before.identity !== parts.identity
}

/** A run of the agent counts on what was acknowledged to it, and is told of other data only by being refused. The next compares everything. */
function requireNewRun({ volumeId, diskIndex, isSameRun }: VolumeOptions): void {
  if (isSameRun !== true) return
  throw new WireError(
    'VOLUME_IO_ERROR',
    `Cannot go on with volume ${volumeId}: another file stands where it was, and what was acknowledged is not in it. Put the ` +
      'former one back, or restart the agent on the source (systemctl restart rehost-agent): it then compares everything',
    { diskIndex },
  )
}

/** Sets to unknown what can't be believed. `before` is undefined when that is everything. */
async function forgetDoubtful(
  options: VolumeOptions,
  before: VolumeCheckpoint | undefined,
  index: HashIndex,
  bytesBefore: number,
): Promise<void> {
  const blockCount = blockCountOf(options.sizeBytes)
  if (before === undefined || bytesBefore !== indexBytes(blockCountOf(before.sizeBytes))) {
    await index.forget(0, blockCount)
    return
  }
  for (const segment of before.activeSegments) {
    const { first, count } = blocksOfSegment(segment, before)
    await index.forget(first, count)
  }
  if (options.sizeBytes > before.sizeBytes) {
    // The last block may have been short, and what follows it is whatever the volume held there.
    const first = Math.floor(before.sizeBytes / blockSizeBytes)
    await index.forget(first, blockCount - first)
  }
}

function blocksOfSegment(
  segment: number,
  { segmentBlocks, sizeBytes }: VolumeCheckpoint,
): { first: number; count: number } {
  const first = segment * segmentBlocks
  return { first, count: Math.min(segmentBlocks, blockCountOf(sizeBytes) - first) }
}

/**
 * Writes active segments back as they read, so that the flush proves that they are on the disk and not in memory alone.
 * @returns the blocks that can't be read: of these nothing is proven, should they be readable later.
 */
async function rewriteActive(data: Disk, before: VolumeCheckpoint): Promise<number[]> {
  const damaged: number[] = []
  for (const segment of before.activeSegments) {
    const { first, count } = blocksOfSegment(segment, before)
    const end = Math.min((first + count) * blockSizeBytes, data.sizeBytes)
    for (let block = first; block * blockSizeBytes < end; block += maxExtentBlocks) {
      const endBlock = Math.min(block + maxExtentBlocks, first + count)
      if (await rewrite(data, block, endBlock, end)) continue
      for (let single = block; single < endBlock; single++)
        if (!(await rewrite(data, single, single + 1, end))) damaged.push(single)
    }
  }
  await data.flush()
  return damaged
}

/** Writes blocks back as they read, up to byte `end` of the disk; false, and nothing is written, when they can't be read. */
async function rewrite(data: Disk, firstBlock: number, endBlock: number, end: number): Promise<boolean> {
  const offset = firstBlock * blockSizeBytes
  const bytes = Buffer.allocUnsafe(Math.min(endBlock * blockSizeBytes, end) - offset)
  try {
    await readFully(data, bytes, offset)
  } catch (error) {
    if (isUnreadable(error)) return false
    throw error
  }
  await writeFully(data, bytes, offset)
  return true
}
