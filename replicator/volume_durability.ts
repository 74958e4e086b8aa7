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
      flush: async () => {
        await this.durable()
        await own.index.flush()
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
   * Makes data and index durable and clears the activity log of what is not being written; all of it is where the volume was opened.
   * @throws WireError as {@link durable}.
   */
  async settle(): Promise<void> {
    this.#health.require()
    await this.#health.guard('flush', async () => {
      await this.#activity.cleanUp()
      await this.#options.parts.data.check()
    })
  }

  /** Resolves when no flush and no save is under way: whoever opens the volume next must be the only one to write its checkpoint. */
  async idle(): Promise<void> {
    await this.#flush.idle()
    await this.#activity.idle()
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
