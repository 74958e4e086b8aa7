/**
 * What was sent over one connection and is not acknowledged yet.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import { isUpTo } from '../../wire/frame.ts'

/** Blocks that are on their way. */
export interface SentExtent extends Extent {
  diskIndex: number
}

interface SentFrame extends SentExtent {
  sequence: number
  rawBytes: number
}

/** Sent extents in the order of sending, until they are acknowledged in that order. */
export class Outstanding {
  readonly #sent: SentFrame[] = []
  #rawBytes = 0
  readonly #acknowledgedBlocks = new Map<number, number>()

  /** Extents, oldest first. */
  get extents(): readonly SentExtent[] {
    return this.#sent
  }

  /** Their bytes before compression; zeros count nothing. */
  get rawBytes(): number {
    return this.#rawBytes
  }

  /** The frame sent last; undefined when everything is acknowledged. */
  get lastSequence(): number | undefined {
    return this.#sent.at(-1)?.sequence
  }

  /** An extent was sent in frame `sequence`. */
  add(extent: SentExtent, sequence: number, rawBytes: number): void {
    const { diskIndex, firstBlock, blockCount } = extent
    this.#sent.push({ diskIndex, firstBlock, blockCount, sequence, rawBytes })
    this.#rawBytes += rawBytes
  }

  /** Everything up to frame `sequence` is durable. */
  acknowledge(sequence: number): void {
    for (;;) {
      const first = this.#sent[0]
      if (first === undefined || !isUpTo(first.sequence, sequence)) return
      this.#sent.shift()
      this.#rawBytes -= first.rawBytes
      const blocks = this.acknowledgedBlocks(first.diskIndex) + first.blockCount
      this.#acknowledgedBlocks.set(first.diskIndex, blocks)
    }
  }

  /** Whether everything up to frame `sequence` is acknowledged. */
  isAcknowledged(sequence: number): boolean {
    const first = this.#sent[0]
    return first === undefined || !isUpTo(first.sequence, sequence)
  }

  /** Blocks of a disk that were acknowledged. */
  acknowledgedBlocks(diskIndex: number): number {
    return this.#acknowledgedBlocks.get(diskIndex) ?? 0
  }
}
