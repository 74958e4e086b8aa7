/**
 * What makes a volume's writes durable: flushes that many writes share, the activity log of its segments, and the checkpoint behind both.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { blockCountOf } from '../domain/units.ts'
import { WireError } from '../wire/wire_error.ts'
import { ActivityLog, defaultSegmentBlocks } from './activity_log.ts'
import { Coalescer } from './coalescer.ts'
import type { HashIndex } from './hash_index.ts'
import type { VolumeHealth } from './volume_health.ts'
import type { VolumeOptions } from './volume_parts.ts'

/** Small writes to the index that settling a volume may take: a fraction of a second. Where it would take more, segments stay active. */
const mostSaves = 1024

/** The same when it is closed: a few seconds. What stays active is read again when the volume is opened. */
const mostSavesAtClose = 32_768

/** The durability of one volume. */
export class VolumeDurability {
  readonly #options: VolumeOptions
  readonly #health: VolumeHealth
  readonly #segmentBlocks: number
  readonly #activity: ActivityLog
  readonly #flush = new Coalescer(() => this.#flushOnce())
  /** See `VolumeCheckpoint`. */
  readonly copyId: string
  #isWritten: boolean
  #mostSaves = mostSaves

  constructor(own: {
    options: VolumeOptions
    health: VolumeHealth
    index: HashIndex
    isWritten: boolean
    copyId: string
  }) {
    this.#options = own.options
    this.copyId = own.copyId
    this.#health = own.health
    this.#isWritten = own.isWritten
    this.#segmentBlocks = own.options.segmentBlocks ?? defaultSegmentBlocks
    this.#activity = new ActivityLog({
      segmentCount: Math.ceil(blockCountOf(own.options.sizeBytes) / this.#segmentBlocks),
      save: (activeSegments) => this.#saveCheckpoint(activeSegments),
      flush: async (segments) => {
        await this.durable()
        const extents = segments.map((segment) => this.#extentOf(segment))
        const saved = await own.index.save(extents, this.#mostSaves)
        return new Set([...saved].map(({ firstBlock }) => firstBlock / this.#segmentBlocks))
      },
    })
  }

  /** Whether a block was ever written. */
  get isWritten(): boolean {
    return this.#isWritten
  }

  /** Segments that would be looked at again after an unclean end. */
  get activeSegmentCount(): number {
    return this.#activity.activeCount
  }

  /** Runs `write` with the segments of ascending `extents` in the activity log: it awaits `marked` before it changes data or index. */
  async marked(
    extents: readonly Extent[],
    write: (marked: Promise<void> | undefined) => Promise<void>,
  ): Promise<void> {
    const segments = this.#segmentsOf(extents)
    this.#isWritten = true
    const marked = this.#activity.begin(segments)
    try {
      await write(marked === undefined ? undefined : this.#health.guard('mark segments of', () => marked))
    } finally {
      this.#activity.end(segments)
    }
  }

  /** Resolves when everything written before this call is durable. @throws WireError when that fails: the volume is broken then. */
  async durable(): Promise<void> {
    this.#health.require()
    await this.#flush.run()
  }

  /**
   * Makes data and index durable and clears the activity log of what is not being written, but for segments with very many blocks in doubt; all
   * of it is where the volume was opened.
   * @throws WireError as {@link durable}.
   */
  async settle(): Promise<void> {
    this.#health.require()
    await this.#health.guard('flush', async () => {
      await this.#activity.cleanUp()
      await this.#options.parts.data.check()
    })
  }

  /** As {@link settle}, for the last time. */
  async settleAtClose(): Promise<void> {
    this.#mostSaves = mostSavesAtClose
    await this.settle()
  }

  /** Resolves when no flush and no save is under way: whoever opens the volume next must be the only one to write its checkpoint. */
  async idle(): Promise<void> {
    await this.#flush.idle()
    await this.#activity.idle()
  }

  #extentOf(segment: number): Extent {
    const firstBlock = segment * this.#segmentBlocks
    const blockCount = Math.min(this.#segmentBlocks, blockCountOf(this.#options.sizeBytes) - firstBlock)
    return { firstBlock, blockCount }
  }

  #segmentsOf(extents: readonly Extent[]): number[] {
    const segments: number[] = []
    for (const { firstBlock, blockCount } of extents) {
      const last = Math.floor((firstBlock + blockCount - 1) / this.#segmentBlocks)
      const first = Math.floor(firstBlock / this.#segmentBlocks)
      for (let segment = Math.max(first, (segments.at(-1) ?? -1) + 1); segment <= last; segment++)
        segments.push(segment)
    }
    return segments
  }

  async #flushOnce(): Promise<void> {
    // After a failed flush the next one may well succeed, having forgotten what the first could not write.
    this.#health.require()
    try {
      await this.#options.parts.data.flush()
    } catch (error) {
      throw await this.#breakByFlush(error)
    }
  }

  async #breakByFlush(error: unknown): Promise<WireError> {
    const failure = this.#health.breakByFlush(error)
    try {
      await this.#activity.save()
    } catch (saveError) {
      return new WireError(failure.code, failure.message, {
        cause: new AggregateError(
          [error, saveError],
          'Neither the volume nor its checkpoint could be written',
        ),
        diskIndex: this.#options.diskIndex,
      })
    }
    return failure
  }

  async #saveCheckpoint(activeSegments: number[]): Promise<void> {
    const { parts, sizeBytes } = this.#options
    await parts.checkpoint.write({
      sizeBytes,
      segmentBlocks: this.#segmentBlocks,
      isWritten: this.#isWritten,
      activeSegments,
      isSuspect: this.#health.isSuspect,
      copyId: this.copyId,
      ...(parts.identity === undefined ? {} : { identity: parts.identity }),
    })
  }
}
