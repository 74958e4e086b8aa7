/**
 * A volume: the copy of one source disk and the hash index beside it. Blocks are verified before they are written, and an operation is
 * durable only when {@link Volume.durable} says so. The index never claims what the data does not hold: see `activity_log.ts`.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { blockSizeBytes, extentBytes, maxExtentBlocks } from '../domain/units.ts'
import { zeroHash } from '../wire/hash.ts'
import { hashBytes } from '../wire/message.ts'
import { WireError } from '../wire/wire_error.ts'
import { allDone } from './all_done.ts'
import { verifiedBytes } from './block_hashes.ts'
import type { BlocksMessage, HashedDisk } from './block_hashes.ts'
import { diskError, writeFully } from './disk.ts'
import { indexChunkBlocks, isHash } from './hash_index.ts'
import { blocksOfPieces, verifiedPieces, writePieceRuns } from './piece_write.ts'
import type { PiecesMessage } from './piece_write.ts'
import { RangeLock } from './range_lock.ts'
import { VolumeDurability } from './volume_durability.ts'
import { VolumeHashes } from './volume_hashes.ts'
import type { Verified } from './volume_hashes.ts'
import { VolumeHealth } from './volume_health.ts'
import type { VolumeOptions } from './volume_parts.ts'
import { VolumeRange } from './volume_range.ts'
import { recoverVolume } from './volume_recovery.ts'

const zeroExtent = Buffer.alloc(maxExtentBlocks * blockSizeBytes)

/** One disk's copy. Made by {@link openVolume}. */
export class Volume {
  readonly volumeId: string
  readonly diskIndex: number
  readonly sizeBytes: number
  readonly hashes: VolumeHashes
  readonly #disk: HashedDisk
  readonly #range: VolumeRange
  readonly #lock = new RangeLock()
  readonly #health: VolumeHealth
  readonly #durability: VolumeDurability

  constructor(options: VolumeOptions, recovered: Awaited<ReturnType<typeof recoverVolume>>) {
    const { index, isWritten, copyId, damaged } = recovered
    const { volumeId, diskIndex, sizeBytes, parts } = options
    this.volumeId = volumeId
    this.diskIndex = diskIndex
    this.sizeBytes = sizeBytes
    this.#disk = { data: parts.data, index, sizeBytes }
    this.#range = new VolumeRange({ volumeId, diskIndex, sizeBytes })
    const { onBroken = () => {}, onSuspect = () => {} } = options
    this.#health = new VolumeHealth({ volumeId, diskIndex, onBroken, onSuspect })
    this.#durability = new VolumeDurability({ options, health: this.#health, index, isWritten, copyId })
    this.hashes = new VolumeHashes({
      disk: this.#disk,
      inTurn: (first, count, read) =>
        this.#inTurn([{ firstBlock: first, blockCount: count }], async (ready) => {
          await ready
          return await this.#health.guard('read', read)
        }),
      onDamaged: options.onDamaged ?? (() => {}),
    })
    this.hashes.found(0, damaged)
  }

  /** EMPTY while no block was ever written: every byte is zero. */
  get contents(): 'EMPTY' | 'PARTIAL' {
    return this.#durability.isWritten ? 'PARTIAL' : 'EMPTY'
  }

  /** Names these contents: what was acknowledged under this name is there. */
  get copyId(): string {
    return this.#durability.copyId
  }

  /** Why it can't be used any more; undefined while it can. */
  get failure(): WireError | undefined {
    return this.#health.failure
  }

  /** Segments that would be looked at again after an unclean end. */
  get activeSegmentCount(): number {
    return this.#durability.activeSegmentCount
  }

  /**
   * Verifies and writes blocks. They are not durable yet. When it settles, nothing reads the message any more.
   * @throws WireError OUT_OF_RANGE, HASH_MISMATCH or BAD_FRAME before anything is written; NO_SPACE or VOLUME_IO_ERROR, after which the
   * volume is broken.
   */
  async writeBlocks(message: BlocksMessage): Promise<void> {
    const { firstBlock, blockCount, hashes } = message
    const extent = { firstBlock, blockCount }
    this.#range.requireExtent(extent, message.rawBytes)
    const { offsetBytes } = extentBytes(extent, this.sizeBytes)
    const { data, index } = this.#disk
    // The place in the order is taken before anything is awaited, so that later calls on the same blocks come later.
    await this.#inTurn([extent], async (ready) => {
      await this.#durability.marked([extent], async (marked) => {
        const [raw] = await allDone([verifiedBytes(message, this), marked, ready])
        await this.#health.guard('write to', () =>
          allDone([
            writeFully(data, raw, offsetBytes),
            index.write(firstBlock, hashes.subarray(0, blockCount * hashBytes)),
          ]),
        )
        this.hashes.damage.repaired(firstBlock, blockCount)
      })
    })
  }

  /**
   * Verifies and writes pieces; the index knows nothing of their blocks from then on. They are not durable yet.
   * @throws WireError as {@link writeBlocks}.
   */
  async writePieces(message: PiecesMessage): Promise<void> {
    const { pieces, rawBytes } = message
    this.#range.requirePieces(pieces, rawBytes)
    const { data, index } = this.#disk
    const extents = blocksOfPieces(pieces)
    await this.#inTurn(extents, async (ready) => {
      await this.#durability.marked(extents, async (marked) => {
        const [raw] = await allDone([verifiedPieces(message, this), marked, ready])
        // Before the first byte changes: what was hashed is not there any more.
        for (const extent of extents) index.doubt(extent)
        await this.#health.guard('write to', () => writePieceRuns(data, pieces, raw))
      })
    })
  }

  /**
   * Makes blocks zero; what the index knows to be zero is left alone, so that sparse files stay sparse. Not durable yet.
   * @throws WireError as {@link writeBlocks}.
   */
  async writeZeros(firstBlock: number, blockCount: number): Promise<void> {
    const extent = { firstBlock, blockCount }
    this.#range.requireExtent(extent)
    await this.#inTurn([extent], async (ready) => {
      await ready
      for (let done = 0; done < blockCount; done += indexChunkBlocks) {
        await this.#zero(firstBlock + done, Math.min(indexChunkBlocks, blockCount - done))
      }
    })
  }

  /**
   * Which of the blocks differ from `hashes`, see {@link VolumeHashes.differences}.
   * @throws WireError as {@link writeBlocks}.
   */
  async compare(firstBlock: number, blockCount: number, hashes: Uint8Array): Promise<Uint8Array> {
    this.#range.requireExtent({ firstBlock, blockCount })
    return await this.hashes.differences(firstBlock, blockCount, hashes)
  }

  /**
   * Whether the data are what they should be, see {@link VolumeHashes.verify}.
   * @throws WireError as {@link writeBlocks}.
   */
  async verify(firstBlock: number, blockCount: number, hashes: Uint8Array): Promise<Verified> {
    this.#range.requireExtent({ firstBlock, blockCount })
    return await this.hashes.verify(firstBlock, blockCount, hashes)
  }

  /** @throws WireError VOLUME_IO_ERROR while blocks are known to be damaged: a snapshot of them must not be taken. */
  requireUndamaged(): void {
    const [first] = this.hashes.damage.extents(1)
    if (first === undefined) return
    throw new WireError(
      'VOLUME_IO_ERROR',
      `Cannot reach a consistency point: ${this.hashes.damage.count} blocks of volume ${this.volumeId} are damaged on the staging ` +
        `disk, the first at byte ${first.firstBlock * blockSizeBytes}. The agent sends them again, and the point is tried again`,
      { diskIndex: this.diskIndex },
    )
  }

  /** Resolves when everything written before this call is durable. @throws WireError as {@link writeBlocks}. */
  async durable(): Promise<void> {
    await this.#durability.durable()
  }

  /** See {@link VolumeDurability.settle}. @throws WireError as {@link writeBlocks}. */
  async settle(): Promise<void> {
    await this.#durability.settle()
  }

  /** Waits for what is under way, settles and closes. A broken volume is closed as it is. @throws WireError as {@link settle}. */
  async close(): Promise<void> {
    await this.#lock.drained()
    try {
      if (this.failure === undefined && this.activeSegmentCount > 0) await this.#durability.settleAtClose()
    } finally {
      await this.abandon()
    }
  }

  /** Waits for what is under way and closes without settling: the next opening looks at its active segments again. */
  async abandon(): Promise<void> {
    this.#health.retire()
    await this.#lock.drained()
    await this.#durability.idle()
    await allDone([this.#disk.data.close(), this.#disk.index.close()])
  }

  /**
   * Runs `work` with its turn at blocks: it awaits `ready` before it reads or writes them, and nobody behind it does before it ends.
   */
  async #inTurn<T>(
    extents: readonly Extent[],
    work: (ready: Promise<unknown> | undefined) => Promise<T>,
  ): Promise<T> {
    this.#health.require()
    const grant = this.#lock.acquire(extents)
    try {
      return await work(grant.ready)
    } finally {
      grant.release()
    }
  }

  /** Writes zeros where blocks are not zero. The caller has the blocks' turn. */
  async #zero(first: number, count: number): Promise<void> {
    const { data, index } = this.#disk
    const known = await this.#health.guard('read', () => this.hashes.known(first, count))
    let position = 0
    while (position < count) {
      if (isHash(known, position, zeroHash)) {
        position++
        continue
      }
      let end = position + 1
      while (end < count && end - position < maxExtentBlocks && !isHash(known, end, zeroHash)) end++
      const extent = { firstBlock: first + position, blockCount: end - position }
      const { offsetBytes, lengthBytes } = extentBytes(extent, this.sizeBytes)
      await this.#durability.marked([extent], async (marked) => {
        await marked
        await this.#health.guard('write to', () =>
          allDone([
            writeFully(data, zeroExtent.subarray(0, lengthBytes), offsetBytes),
            index.zero(extent.firstBlock, extent.blockCount),
          ]),
        )
        this.hashes.damage.repaired(extent.firstBlock, extent.blockCount)
      })
      position = end
    }
  }
}

/**
 * Opens a volume, after making sure that its index claims nothing doubtful.
 * @throws WireError VOLUME_TOO_SMALL, OUT_OF_RANGE when the source disk has become smaller, NO_SPACE or VOLUME_IO_ERROR. The data disk
 * is closed then.
 */
export async function openVolume(options: VolumeOptions): Promise<Volume> {
  try {
    return new Volume(options, await recoverVolume(options))
  } catch (error) {
    await options.parts.data.close()
    throw diskError(error, `open volume ${options.volumeId}`, options.diskIndex)
  }
}
