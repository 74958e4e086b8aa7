/**
 * Blocks of one disk that cannot be read. A dying disk has millions: of each only its number is kept, and the last error.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { UnreadableSectorError } from '../disk/block_source.ts'
import { DirtyMap } from './dirty_map.ts'

/** They are tried again this often. */
const retryMs = 30_000

/** Those of one disk. */
export class UnreadableBlocks {
  readonly #blocks: DirtyMap
  readonly #deviceName: string
  #last: { block: number; error: UnreadableSectorError } | undefined
  #retryAtMs = 0

  constructor(blockCount: number, deviceName: string) {
    this.#blocks = new DirtyMap(blockCount)
    this.#deviceName = deviceName
  }

  /** How many there are. */
  get count(): number {
    return this.#blocks.count
  }

  /** Makes room for a disk that has grown. */
  grow(blockCount: number): void {
    this.#blocks.grow(blockCount)
  }

  /** Whether block `index` is one. */
  has(index: number): boolean {
    return this.#blocks.has(index)
  }

  /** All of them. */
  extents(): Generator<Extent> {
    return this.#blocks.extents(0, Number.MAX_SAFE_INTEGER)
  }

  /** One more; true when that is news. */
  mark(block: number, error: UnreadableSectorError, nowMs: number): boolean {
    const isNew = !this.#blocks.has(block)
    if (this.#blocks.count === 0) this.#retryAtMs = nowMs + retryMs
    this.#blocks.mark(block, 1)
    this.#last = { block, error }
    return isNew
  }

  /** These could be read. */
  clear({ firstBlock, blockCount }: Extent): void {
    if (this.#blocks.count > 0) this.#blocks.clear(firstBlock, blockCount)
  }

  /** Whether they are to be tried again now; the next time it is asked they are not. */
  isRetryDue(nowMs: number): boolean {
    if (this.#blocks.count === 0 || nowMs < this.#retryAtMs) return false
    this.#retryAtMs = nowMs + retryMs
    return true
  }

  /** A failure that still stands. */
  get failure(): UnreadableSectorError | undefined {
    const first = this.#blocks.firstFrom(0)
    if (first === undefined) return undefined
    const last = this.#last
    if (last !== undefined && this.#blocks.has(last.block)) return last.error
    return new UnreadableSectorError(this.#deviceName, first * blockSizeBytes)
  }
}
