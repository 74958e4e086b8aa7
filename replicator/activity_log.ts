/**
 * The activity log: which segments of a volume are being written, told durably before the first write into each. Data and index can't
 * be changed in one step; after an unclean end the index is believed outside the active segments only.
 * @module
 */
import { Coalescer } from './coalescer.ts'

/** Blocks in a segment: 64 MiB of disk. */
export const defaultSegmentBlocks = 1024

/** Segments beyond the one about to be written that are marked with it: copying in order asks for them next. */
const segmentsAhead = 3

/** Segments by number, from 0. */
export class ActivityLog {
  readonly #segmentCount: number
  readonly #save: Coalescer
  /** What the next save will say. */
  readonly #active: Set<number>
  /** Active by a save that is durable, and by every later one. */
  readonly #safe = new Set<number>()
  /** Writes under way by segment. */
  readonly #writing = new Map<number, number>()
  /** Segments with a write that began or ended since the last clean-up began. */
  #touched = new Set<number>()
  readonly #cleanUp: Coalescer

  /**
   * @param save makes the list of active segments durable; called once at a time.
   * @param flush makes data and index durable; answers for which of the segments all of the index is.
   */
  constructor(options: {
    segmentCount: number
    save: (activeSegments: number[]) => Promise<void>
    flush: (segments: readonly number[]) => Promise<ReadonlySet<number>>
  }) {
    this.#segmentCount = options.segmentCount
    this.#active = new Set()
    this.#save = new Coalescer(async () => {
      const saved = [...this.#active]
      await options.save(saved)
      for (const segment of saved) if (this.#active.has(segment)) this.#safe.add(segment)
    })
    this.#cleanUp = new Coalescer(() => this.#cleanUpOnce(options.flush))
  }

  /** How many segments are active. */
  get activeCount(): number {
    return this.#active.size
  }

  /**
   * Announces a write into ascending `segments`; undefined when it may begin at once, else a promise to wait for. Whatever comes of it,
   * {@link end} must be called.
   */
  begin(segments: readonly number[]): Promise<void> | undefined {
    let isSafe = true
    for (const segment of segments) {
      this.#touched.add(segment)
      this.#writing.set(segment, (this.#writing.get(segment) ?? 0) + 1)
      if (!this.#safe.has(segment)) isSafe = false
    }
    if (isSafe) return undefined
    for (const segment of segments) this.#active.add(segment)
    const last = segments.at(-1) ?? 0
    const lastMarked = Math.min(last + segmentsAhead, this.#segmentCount - 1)
    for (let segment = last + 1; segment <= lastMarked; segment++) this.#active.add(segment)
    return this.#save.run()
  }

  /** The write into `segments` has ended, well or not. */
  end(segments: readonly number[]): void {
    for (const segment of segments) {
      this.#touched.add(segment)
      const left = (this.#writing.get(segment) ?? 1) - 1
      if (left === 0) this.#writing.delete(segment)
      else this.#writing.set(segment, left)
    }
  }

  /** Flushes data and index and takes off the list the segments that were flushed whole and that nobody wrote to meanwhile. */
  cleanUp(): Promise<void> {
    return this.#cleanUp.run()
  }

  /** Makes the list durable again, with whatever else the save adds to it. */
  save(): Promise<void> {
    return this.#save.run()
  }

  /** Resolves when no save is under way. */
  async idle(): Promise<void> {
    await this.#cleanUp.idle()
    await this.#save.idle()
  }

  async #cleanUpOnce(flush: (segments: readonly number[]) => Promise<ReadonlySet<number>>): Promise<void> {
    if (this.#active.size === 0) return
    this.#touched = new Set()
    const flushed = await flush([...this.#active])
    let removed = 0
    for (const segment of flushed) {
      if (this.#touched.has(segment) || this.#writing.has(segment)) continue
      this.#active.delete(segment)
      this.#safe.delete(segment)
      removed++
    }
    if (removed > 0) await this.#save.run()
  }
}
