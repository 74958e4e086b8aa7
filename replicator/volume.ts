/**
 * A volume: the copy of one source disk and the hash index beside it. Blocks are verified before they are written, and an operation is
 * durable only when {@link Volume.durable} says so. The index never claims what the data does not hold: see `activity_log.ts`.
 * @module
 */
import {
  blockCountOf,
  blockLengthBytes,
  blockSizeBytes,
  extentBytes,
  maxExtentBlocks,
} from '../domain/units.ts'
import { decodePayload } from '../wire/encoding.ts'
import {
  blockHash,
  equalHashes,
  hashAt,
  isAllZero,
  RootHash,
  toHex,
  unknownHash,
  zeroHash,
} from '../wire/hash.ts'
import { hashBytes } from '../wire/message.ts'
import type { Message } from '../wire/message.ts'
import { WireError } from '../wire/wire_error.ts'
import { ActivityLog, defaultSegmentBlocks } from './activity_log.ts'
import type { DocumentStore, VolumeCheckpoint } from './checkpoint.ts'
import { Coalescer } from './coalescer.ts'
import { diskError, readFully, writeFully } from './disk.ts'
import type { Disk } from './disk.ts'
import type { HashIndex } from './hash_index.ts'
import { indexChunkBlocks, isHash } from './hash_index.ts'
import { RangeLock } from './range_lock.ts'
import type { VolumeOptions } from './volume_parts.ts'
import { recoverVolume } from './volume_recovery.ts'

type BlocksMessage = Extract<Message, { type: 'BLOCKS' }>

const zeroExtent = Buffer.alloc(maxExtentBlocks * blockSizeBytes)

/** One disk's copy. Made by {@link openVolume}. */
export class Volume {
  readonly volumeId: string
  readonly diskIndex: number
  readonly sizeBytes: number
  readonly #data: Disk
  readonly #index: HashIndex
  readonly #checkpoint: DocumentStore<VolumeCheckpoint>
  readonly #blockCount: number
  readonly #segmentBlocks: number
  readonly #activity: ActivityLog
  readonly #lock = new RangeLock()
  readonly #flush: Coalescer
  readonly #onBroken: (error: WireError) => void
  #isWritten: boolean
  #isSuspect = false
  #failure: WireError | undefined

  constructor(options: VolumeOptions, index: HashIndex, isWritten: boolean) {
    this.volumeId = options.volumeId
    this.diskIndex = options.diskIndex
    this.sizeBytes = options.sizeBytes
    this.#data = options.parts.data
    this.#checkpoint = options.parts.checkpoint
    this.#index = index
    this.#isWritten = isWritten
    this.#onBroken = options.onBroken ?? (() => {})
    this.#blockCount = blockCountOf(options.sizeBytes)
    this.#segmentBlocks = options.segmentBlocks ?? defaultSegmentBlocks
    this.#activity = new ActivityLog({
      segmentCount: Math.ceil(this.#blockCount / this.#segmentBlocks),
      save: (activeSegments) => this.#saveCheckpoint(activeSegments),
      flush: async () => {
        await this.durable()
        await this.#index.flush()
      },
    })
    this.#flush = new Coalescer(async () => {
      // After a failed flush the next one may well succeed, having forgotten what the first could not write.
      if (this.#failure !== undefined) throw this.#failure
      try {
        await this.#data.flush()
      } catch (error) {
        throw await this.#breakAfterFlush(error)
      }
    })
  }

  /** EMPTY while no block was ever written: every byte is zero. */
  get contents(): 'EMPTY' | 'PARTIAL' {
    return this.#isWritten ? 'PARTIAL' : 'EMPTY'
  }

  /** Why it can't be used any more; undefined while it can. */
  get failure(): WireError | undefined {
    return this.#failure
  }

  /** A flush failed, so that the next opening must write again what it reads. */
  get isSuspect(): boolean {
    return this.#isSuspect
  }

  /** Segments that would be looked at again after an unclean end. */
  get activeSegmentCount(): number {
    return this.#activity.activeCount
  }

  /**
   * Verifies and writes blocks. They are not durable yet.
   * @throws WireError OUT_OF_RANGE, HASH_MISMATCH or BAD_FRAME before anything is written; NO_SPACE or VOLUME_IO_ERROR, after which the
   * volume is broken.
   */
  async writeBlocks(message: BlocksMessage): Promise<void> {
    const { firstBlock, blockCount, hashes } = message
    this.#requireRange(firstBlock, blockCount)
    const { offsetBytes, lengthBytes } = extentBytes({ firstBlock, blockCount }, this.sizeBytes)
    if (message.rawBytes !== lengthBytes) {
      throw this.#outOfRange(
        `Cannot write ${message.rawBytes} bytes as blocks from ${firstBlock}`,
        lengthBytes,
        message.rawBytes,
      )
    }
    // The place in the order is taken before anything is awaited, so that later calls on the same blocks come later.
    await this.#inTurn(firstBlock, blockCount, async (ready) => {
      await this.#marked(firstBlock, blockCount, async (marked) => {
        const [raw] = await Promise.all([this.#verified(message), marked, ready])
        await this.#guard('write to', async () => {
          await Promise.all([
            writeFully(this.#data, raw, offsetBytes),
            this.#index.write(firstBlock, hashes.subarray(0, blockCount * hashBytes)),
          ])
        })
      })
    })
  }

  /**
   * Makes blocks zero; what the index knows to be zero is left alone, so that sparse files stay sparse. Not durable yet.
   * @throws WireError as {@link writeBlocks}.
   */
  async writeZeros(firstBlock: number, blockCount: number): Promise<void> {
    this.#requireRange(firstBlock, blockCount)
    await this.#inTurn(firstBlock, blockCount, async (ready) => {
      await ready
      for (let done = 0; done < blockCount; done += indexChunkBlocks) {
        await this.#zero(firstBlock + done, Math.min(indexChunkBlocks, blockCount - done))
      }
    })
  }

  /**
   * Which of the blocks differ from `hashes`: bit i, least significant first, for block `firstBlock + i`. A block that is not known is
   * read for it.
   * @throws WireError as {@link writeBlocks}.
   */
  async compare(firstBlock: number, blockCount: number, hashes: Uint8Array): Promise<Uint8Array> {
    this.#requireRange(firstBlock, blockCount)
    const own = await this.#hashes(firstBlock, blockCount)
    const bitmap = new Uint8Array(Math.ceil(blockCount / 8))
    for (let index = 0; index < blockCount; index++) {
      if (equalHashes(hashAt(own, index), hashAt(hashes, index))) continue
      bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
    }
    return bitmap
  }

  /** BLAKE3 over the hashes of all blocks in order, in hexadecimal. @throws WireError as {@link writeBlocks}. */
  async root(): Promise<string> {
    const root = new RootHash()
    for (let first = 0; first < this.#blockCount; first += indexChunkBlocks) {
      root.update(await this.#hashes(first, Math.min(indexChunkBlocks, this.#blockCount - first)))
    }
    return root.digest()
  }

  /** Resolves when everything written before this call is durable. @throws WireError as {@link writeBlocks}. */
  async durable(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    await this.#flush.run()
  }

  /** Makes data and index durable and clears the activity log of what is not being written. @throws WireError as {@link writeBlocks}. */
  async settle(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    await this.#guard('flush', () => this.#activity.cleanUp())
  }

  /** Waits for what is under way, settles and closes. A broken volume is closed as it is. */
  async close(): Promise<void> {
    await this.#lock.drained()
    try {
      if (this.#failure === undefined) await this.settle()
    } finally {
      // Whoever opens the volume next must be the only one to write its checkpoint.
      await this.#flush.idle()
      await this.#activity.idle()
      await Promise.all([this.#data.close(), this.#index.close()])
    }
  }

  /**
   * Runs `work` with its turn at blocks: it awaits `ready` before it reads or writes them, and nobody behind it does before it ends.
   */
  async #inTurn<T>(
    first: number,
    count: number,
    work: (ready: Promise<unknown> | undefined) => Promise<T>,
  ): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure
    const grant = this.#lock.acquire(first, count)
    try {
      return await work(grant.ready)
    } finally {
      grant.release()
    }
  }

  /** Runs `write` with its segments in the activity log: it awaits `marked` before it changes data or index. */
  async #marked(
    first: number,
    count: number,
    write: (marked: Promise<void> | undefined) => Promise<void>,
  ): Promise<void> {
    const firstSegment = Math.floor(first / this.#segmentBlocks)
    const lastSegment = Math.floor((first + count - 1) / this.#segmentBlocks)
    this.#isWritten = true
    const marked = this.#activity.begin(firstSegment, lastSegment)
    try {
      await write(marked === undefined ? undefined : this.#guard('mark segments of', () => marked))
    } finally {
      this.#activity.end(firstSegment, lastSegment)
    }
  }

  /** The raw bytes of `message`, once every block has the hash that it should have. */
  async #verified(message: BlocksMessage): Promise<Uint8Array> {
    const raw = await decodePayload(message.payload, message.encoding, message.rawBytes)
    for (let index = 0; index < message.blockCount; index++) {
      const start = index * blockSizeBytes
      const actual = blockHash(raw.subarray(start, start + blockSizeBytes))
      const expected = hashAt(message.hashes, index)
      if (equalHashes(actual, expected)) continue
      throw new WireError(
        'HASH_MISMATCH',
        `Cannot write block ${message.firstBlock + index} of volume ${this.volumeId}: its bytes are not those that were hashed`,
        { expected: toHex(expected), actual: toHex(actual), diskIndex: this.diskIndex },
      )
    }
    return raw
  }

  /** Writes zeros where blocks are not zero. The caller has the blocks' turn. */
  async #zero(first: number, count: number): Promise<void> {
    const known = await this.#guard('read', () => this.#resolved(first, count))
    let index = 0
    while (index < count) {
      if (isHash(known, index, zeroHash)) {
        index++
        continue
      }
      let end = index + 1
      while (end < count && end - index < maxExtentBlocks && !isHash(known, end, zeroHash)) end++
      const extent = { firstBlock: first + index, blockCount: end - index }
      const { offsetBytes, lengthBytes } = extentBytes(extent, this.sizeBytes)
      await this.#marked(extent.firstBlock, extent.blockCount, async (marked) => {
        await marked
        await this.#guard('write to', async () => {
          await Promise.all([
            writeFully(this.#data, zeroExtent.subarray(0, lengthBytes), offsetBytes),
            this.#index.zero(extent.firstBlock, extent.blockCount),
          ])
        })
      })
      index = end
    }
  }

  /** The hashes of blocks that nobody is writing. */
  async #hashes(first: number, count: number): Promise<Uint8Array> {
    return await this.#inTurn(first, count, async (ready) => {
      await ready
      return await this.#guard('read', () => this.#resolved(first, count))
    })
  }

  /** Entries of the index, those that were unknown computed from the data and written back. The caller has the blocks' turn. */
  async #resolved(first: number, count: number): Promise<Uint8Array> {
    const hashes = await this.#index.read(first, count)
    let index = 0
    while (index < count) {
      if (!isHash(hashes, index, unknownHash)) {
        index++
        continue
      }
      let end = index + 1
      while (end < count && end - index < maxExtentBlocks && isHash(hashes, end, unknownHash)) end++
      await this.#readHashes(first + index, end - index, hashes.subarray(index * hashBytes, end * hashBytes))
      await this.#index.write(first + index, hashes.subarray(index * hashBytes, end * hashBytes))
      index = end
    }
    return hashes
  }

  async #readHashes(firstBlock: number, blockCount: number, into: Uint8Array): Promise<void> {
    const { offsetBytes, lengthBytes } = extentBytes({ firstBlock, blockCount }, this.sizeBytes)
    const bytes = Buffer.allocUnsafe(lengthBytes)
    await readFully(this.#data, bytes, offsetBytes)
    if (isAllZero(bytes)) {
      into.fill(0)
      return
    }
    for (let index = 0; index < blockCount; index++) {
      const start = index * blockSizeBytes
      const length = blockLengthBytes(firstBlock + index, this.sizeBytes)
      into.set(blockHash(bytes.subarray(start, start + length)), index * hashBytes)
    }
  }

  async #saveCheckpoint(activeSegments: number[]): Promise<void> {
    await this.#checkpoint.write({
      sizeBytes: this.sizeBytes,
      segmentBlocks: this.#segmentBlocks,
      isWritten: this.#isWritten,
      activeSegments,
      isSuspect: this.#isSuspect,
    })
  }

  /** Runs `work`; trouble with a disk breaks the volume, and comes out as the error for the agent and the operator. */
  async #guard<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#break(error, doing)
    }
  }

  #break(error: unknown, doing: string): WireError {
    const failure = diskError(error, `${doing} volume ${this.volumeId}`, this.diskIndex)
    if (this.#failure === undefined) {
      this.#failure = failure
      this.#onBroken(failure)
    }
    return failure
  }

  /** The kernel may have forgotten which pages are not on the disk: what reads back is no proof any more, also after a restart. */
  async #breakAfterFlush(error: unknown): Promise<WireError> {
    this.#isSuspect = true
    const failure = this.#break(error, 'flush')
    try {
      await this.#activity.save()
    } catch (saveError) {
      return new WireError(failure.code, failure.message, {
        cause: new AggregateError(
          [error, saveError],
          'Neither the volume nor its checkpoint could be written',
        ),
        diskIndex: this.diskIndex,
      })
    }
    return failure
  }

  #requireRange(first: number, count: number): void {
    if (first + count <= this.#blockCount) return
    throw this.#outOfRange(
      `Cannot reach blocks ${first} to ${first + count - 1} of volume ${this.volumeId}`,
      `below ${this.#blockCount}`,
      first + count - 1,
    )
  }

  #outOfRange(message: string, expected: string | number, actual: number): WireError {
    return new WireError('OUT_OF_RANGE', message, { expected, actual, diskIndex: this.diskIndex })
  }
}

/**
 * Opens a volume, after making sure that its index claims nothing doubtful.
 * @throws WireError VOLUME_TOO_SMALL, OUT_OF_RANGE when the source disk has become smaller, NO_SPACE or VOLUME_IO_ERROR. The data disk
 * is closed then.
 */
export async function openVolume(options: VolumeOptions): Promise<Volume> {
  try {
    const { index, isWritten } = await recoverVolume(options)
    return new Volume(options, index, isWritten)
  } catch (error) {
    await options.parts.data.close()
    throw diskError(error, `open volume ${options.volumeId}`, options.diskIndex)
  }
}
