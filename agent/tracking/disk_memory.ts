/**
 * The memory of one tracked disk: its file, and what an earlier run had left in it.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { KeptTracking } from './kept_tracking.ts'
import type { MarkFile } from './mark_file.ts'
import type { Inherited, SavedState, TrackMemory } from './track_memory.ts'

/** What it is made of. */
export interface DiskMemoryParts {
  file: MarkFile
  /** Why nothing of an earlier run can be gone on from. */
  refusal: string | undefined
  kept: KeptTracking
}

/** See {@link TrackMemory}. */
export class DiskMemory implements TrackMemory {
  readonly #parts: DiskMemoryParts

  constructor(parts: DiskMemoryParts) {
    this.#parts = parts
  }

  get inherited(): Inherited | string {
    const { file, refusal } = this.#parts
    if (refusal !== undefined) return refusal
    const { lost, state } = file.header
    if (lost !== undefined) return `changes were lost: ${lost}`
    if (state === undefined) return 'the run before ended before it had written down how its copy stood'
    return { state, marks: file.marks() }
  }

  save(state: SavedState, outstanding: Iterable<Extent>): void {
    this.#parts.kept.run(() => this.#parts.file.save(state, outstanding))
  }

  willSend(end: number): void {
    this.#parts.kept.run(() => this.#parts.file.willSend(end))
  }

  grow(sizeBytes: number): void {
    this.#parts.kept.run(() => this.#parts.file.grow(sizeBytes))
  }
}
