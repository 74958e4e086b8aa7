/**
 * What outlives a run of the agent on a simulated disk, as the kernel's rings and the file of marks do together: changes go on being marked while
 * no agent runs. It survives kills; a test lets it lose events or forget everything.
 * @module
 */
import type { Inherited, SavedState, TrackMemory } from '../../../agent/tracking/track_memory.ts'
import type { Extent } from '../../../domain/units.ts'
import { DirtyMap } from '../../../agent/sync/dirty_map.ts'
import { blockCountOf, blockSizeBytes, sectorSizeBytes } from '../../../domain/units.ts'

const sectorsPerBlock = blockSizeBytes / sectorSizeBytes

/** Blocks sent to a blank volume are announced so many ahead. */
const announceBlocks = 3

/** One disk's. */
export class SimMemory implements TrackMemory {
  readonly #marks: DirtyMap
  #sizeBytes: number
  #state: SavedState | undefined
  #isLost = false
  /** The run that had it last. */
  #generation = 0

  constructor(sizeBytes: number) {
    this.#marks = new DirtyMap(blockCountOf(sizeBytes))
    this.#sizeBytes = sizeBytes
  }

  /** A run takes it over, for a volume of `sizeBytes`: what was left is good for the one directly after. */
  begin(generation: number, sizeBytes: number): void {
    if (this.#generation !== generation - 1) this.forget()
    this.#generation = generation
    // As a file of marks is for a volume of one size, to the byte: it may have grown within its last block.
    if (sizeBytes !== this.#sizeBytes) this.grow(sizeBytes)
  }

  /** A write is over. */
  changed(firstSector: number, sectorCount: number): void {
    const first = Math.floor(firstSector / sectorsPerBlock)
    const end = Math.ceil((firstSector + sectorCount) / sectorsPerBlock)
    this.#marks.mark(first, end - first)
  }

  /** Events are missing. */
  lose(): void {
    this.#isLost = true
  }

  /** The machine was started anew. */
  forget(): void {
    this.#state = undefined
  }

  get inherited(): Inherited | string {
    if (this.#isLost) return 'changes were lost: simulated loss of events'
    if (this.#state === undefined) return 'nothing was left'
    return { state: this.#state, marks: this.#marks.extents(0, Number.MAX_SAFE_INTEGER) }
  }

  save(state: SavedState, outstanding: Iterable<Extent>): void {
    this.#marks.clear(0, this.#marks.blockCount)
    for (const { firstBlock, blockCount } of outstanding) this.#marks.mark(firstBlock, blockCount)
    this.#isLost = false
    this.#state = state
    if (state.scan?.mode === 'BLANK') this.willSend(state.scan.attemptedEnd + 1)
  }

  willSend(end: number): void {
    const state = this.#state
    if (state?.scan === undefined || state.scan.attemptedEnd >= end) return
    this.#state = { ...state, scan: { ...state.scan, attemptedEnd: end + announceBlocks } }
  }

  grow(sizeBytes: number): void {
    this.#marks.grow(blockCountOf(sizeBytes))
    this.#sizeBytes = sizeBytes
    this.forget()
  }
}
