/**
 * What of a disk must be copied: whole blocks, and of some blocks only pieces. A block that must be copied is one or the other, never both.
 * Whoever copies clears first and reads afterwards, so that a write that comes in between marks again.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import {
  blockCountOf,
  blockSizeBytes,
  pieceSizeBytes,
  piecesPerBlock,
  sectorSizeBytes,
} from '../../domain/units.ts'
import { DirtyMap } from './dirty_map.ts'
import { maskOf, piecesIn, wholeMask } from './piece_masks.ts'
import type { PieceRoom } from './piece_room.ts'

const sectorsPerPiece = pieceSizeBytes / sectorSizeBytes

/** From so many pieces on a block is copied whole: one read instead of many, and its hash stays known at the other end. */
const mostPieces = 11

/** Blocks that changed, or one block of which only the pieces in `pieces` did, a mask. */
export interface Change extends Extent {
  pieces?: number
}

/** Bytes of the blocks and pieces that changed. */
export function changedBytes(changes: readonly Change[]): number {
  const bytesOf = ({ blockCount, pieces }: Change): number =>
    pieces === undefined ? blockCount * blockSizeBytes : piecesIn(pieces) * pieceSizeBytes
  return changes.reduce((sum, change) => sum + bytesOf(change), 0)
}

/** A disk's changes. Takes 2 MiB for a disk of 1 TiB, and of that only what is touched, and some bytes for each block known in pieces. */
export class ChangeMap {
  #pieceCount: number
  readonly #whole: DirtyMap
  /** Masks by block. */
  readonly #pieces = new Map<number, number>()
  #markedPieces = 0
  readonly #room: PieceRoom

  /** @param room shared with other maps; when it is full, blocks are marked whole. */
  constructor(sizeBytes: number, room: PieceRoom) {
    this.#pieceCount = Math.ceil(sizeBytes / pieceSizeBytes)
    this.#whole = new DirtyMap(blockCountOf(sizeBytes))
    this.#room = room
  }

  /** Blocks of the disk. */
  get blockCount(): number {
    return this.#whole.blockCount
  }

  /** Makes room for a disk that has grown; nothing of what is new is marked. */
  grow(sizeBytes: number): void {
    this.#pieceCount = Math.ceil(sizeBytes / pieceSizeBytes)
    this.#whole.grow(blockCountOf(sizeBytes))
  }

  /** Blocks of which anything is marked. */
  get count(): number {
    return this.#whole.count + this.#pieces.size
  }

  /** Bytes to copy. */
  get bytes(): number {
    return this.#whole.count * blockSizeBytes + this.#markedPieces * pieceSizeBytes
  }

  /** Bytes to copy in blocks before `end`. It looks at everything that is marked: for figures now and then. */
  bytesBefore(end: number): number {
    let pieces = 0
    for (const [block, mask] of this.#pieces) if (block < end) pieces += piecesIn(mask)
    const whole = this.#whole.count - this.#whole.countFrom(end)
    return whole * blockSizeBytes + pieces * pieceSizeBytes
  }

  /** Whether anything of block `index` is marked. */
  has(index: number): boolean {
    return this.#whole.has(index) || this.#pieces.has(index)
  }

  /** The pieces of block `index` that are marked; 0 when there are none, or the block is marked whole. */
  piecesOf(index: number): number {
    return this.#pieces.get(index) ?? 0
  }

  /** Blocks marked in pieces, ascending. */
  piecedBlocks(): number[] {
    return [...this.#pieces.keys()].sort((a, b) => a - b)
  }

  /** Marks whole blocks; what lies outside the disk is ignored. */
  mark(firstBlock: number, blockCount: number): void {
    this.#dropPieces(firstBlock, blockCount)
    this.#whole.mark(firstBlock, blockCount)
  }

  /** Marks what `other`, of a disk of the same size, has marked. */
  markAll(other: DirtyMap): void {
    for (const extent of other.extents(0, Number.MAX_SAFE_INTEGER))
      this.mark(extent.firstBlock, extent.blockCount)
  }

  /** Marks the pieces in `mask` of a block; what lies outside the disk is ignored. */
  markPieces(block: number, mask: number): void {
    const piecesThere = this.#pieceCount - block * piecesPerBlock
    const marked = piecesThere >= piecesPerBlock ? mask : mask & maskOf(0, Math.max(0, piecesThere))
    if (marked === 0 || this.#whole.has(block)) return
    const before = this.#pieces.get(block)
    const after = (before ?? 0) | marked
    const isFew = piecesIn(after) <= mostPieces
    if (!isFew || (before === undefined && !this.#room.take())) {
      this.mark(block, 1)
      return
    }
    this.#pieces.set(block, after)
    this.#markedPieces += piecesIn(after) - piecesIn(before ?? 0)
  }

  /** Marks what sectors of 512 bytes lie in; what lies outside the disk is ignored. */
  markSectors(firstSector: number, sectorCount: number): void {
    const first = Math.floor(firstSector / sectorsPerPiece)
    const end = Math.min(this.#pieceCount, Math.ceil((firstSector + sectorCount) / sectorsPerPiece))
    if (end <= first) return
    const firstBlock = Math.floor(first / piecesPerBlock)
    const lastBlock = Math.floor((end - 1) / piecesPerBlock)
    const endInLast = end - lastBlock * piecesPerBlock
    if (firstBlock === lastBlock) {
      this.markPieces(firstBlock, maskOf(first % piecesPerBlock, endInLast))
      return
    }
    this.markPieces(firstBlock, maskOf(first % piecesPerBlock, piecesPerBlock))
    this.mark(firstBlock + 1, lastBlock - firstBlock - 1)
    this.markPieces(lastBlock, maskOf(0, endInLast))
  }

  /** Unmarks blocks, whole or in pieces; what lies outside the disk is ignored. */
  clear(firstBlock: number, blockCount: number): void {
    this.#dropPieces(firstBlock, blockCount)
    this.#whole.clear(firstBlock, blockCount)
  }

  /** Unmarks pieces of a block; answers those of them that were marked. None, when the block is marked whole. */
  clearPieces(block: number, mask: number): number {
    const before = this.#pieces.get(block) ?? 0
    const cleared = before & mask
    if (cleared === 0) return 0
    this.#markedPieces -= piecesIn(cleared)
    const left = before & ~cleared & wholeMask
    if (left !== 0) this.#pieces.set(block, left)
    else {
      this.#pieces.delete(block)
      this.#room.give(1)
    }
    return cleared
  }

  /** Marks whole whatever is marked in pieces. */
  forgetPieces(): void {
    for (const block of this.piecedBlocks()) this.mark(block, 1)
  }

  /** Runs of blocks marked whole, see {@link DirtyMap.extents}. */
  extents(from: number, maxBlocks: number, alignBlocks?: number): Generator<Extent> {
    return this.#whole.extents(from, maxBlocks, alignBlocks)
  }

  /** Every block of which anything is marked, as a whole. */
  *touchedBlocks(): Generator<Extent> {
    yield* this.#whole.extents(0, Number.MAX_SAFE_INTEGER)
    for (const firstBlock of this.#pieces.keys()) yield { firstBlock, blockCount: 1 }
  }

  /** Everything marked, and unmarks it. */
  takeAll(): Change[] {
    const changes: Change[] = [...this.#whole.extents(0, Number.MAX_SAFE_INTEGER)]
    for (const [firstBlock, pieces] of this.#pieces) changes.push({ firstBlock, blockCount: 1, pieces })
    this.clear(0, this.blockCount)
    return changes
  }

  #dropPieces(firstBlock: number, blockCount: number): void {
    if (this.#pieces.size === 0) return
    if (blockCount < this.#pieces.size) {
      for (let block = firstBlock; block < firstBlock + blockCount; block++)
        this.clearPieces(block, wholeMask)
      return
    }
    for (const block of [...this.#pieces.keys()])
      if (block >= firstBlock && block < firstBlock + blockCount) this.clearPieces(block, wholeMask)
  }
}
