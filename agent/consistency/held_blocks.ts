/**
 * Blocks and pieces of blocks held in memory until they are sent.
 * @module
 */
import type { DiskSync } from '../sync/disk_sync.ts'
import type { Sender } from '../sync/sender.ts'
import { pieceSizeBytes, piecesPerBlock } from '../../domain/units.ts'
import { pieceBatches } from '../sync/piece_batches.ts'
import { numbersOf } from '../sync/piece_masks.ts'

/** What is held of one disk: no piece of a block that is held as a whole. */
interface HeldOfDisk {
  blocks: Map<number, Uint8Array>
  pieces: Map<number, Uint8Array>
}

const blockOf = (piece: number): number => Math.floor(piece / piecesPerBlock)

/** Which pieces of each block are held. */
function masksOf({ pieces }: HeldOfDisk): Map<number, number> {
  const masks = new Map<number, number>()
  for (const piece of pieces.keys()) {
    const block = blockOf(piece)
    masks.set(block, (masks.get(block) ?? 0) | (1 << (piece % piecesPerBlock)))
  }
  return masks
}

/** What was read last of each block and piece. */
export class HeldBlocks {
  readonly #disks = new Map<number, HeldOfDisk>()
  #bytes = 0

  /** Memory that it takes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Blocks of which anything is held. */
  get count(): number {
    let count = 0
    for (const own of this.#disks.values()) count += own.blocks.size + masksOf(own).size
    return count
  }

  /** Takes a copy of a block; what was held of it before is out of date. */
  addBlock(diskIndex: number, block: number, bytes: Uint8Array): void {
    const own = this.#of(diskIndex)
    for (let piece = block * piecesPerBlock; piece < (block + 1) * piecesPerBlock; piece++)
      this.#replace(own.pieces, piece, undefined)
    this.#replace(own.blocks, block, Uint8Array.from(bytes))
  }

  /** Takes a copy of pieces, whose bytes stand one after the other. */
  addPieces(diskIndex: number, pieces: readonly number[], bytes: Uint8Array): void {
    const own = this.#of(diskIndex)
    for (const [index, piece] of pieces.entries()) {
      const read = bytes.subarray(index * pieceSizeBytes, (index + 1) * pieceSizeBytes)
      const whole = own.blocks.get(blockOf(piece))
      if (whole === undefined) this.#replace(own.pieces, piece, Uint8Array.from(read))
      else whole.set(read, (piece % piecesPerBlock) * pieceSizeBytes)
    }
  }

  /** Marks everything again as it was: it is not sent. */
  giveBack(disks: readonly DiskSync[]): void {
    for (const disk of disks) {
      const own = this.#of(disk.diskIndex)
      for (const firstBlock of own.blocks.keys()) disk.dirty.mark(firstBlock, 1)
      for (const [firstBlock, pieces] of masksOf(own)) disk.markChanged({ firstBlock, blockCount: 1, pieces })
    }
  }

  /** Sends everything. @throws whatever the session throws. */
  async send(sender: Sender): Promise<void> {
    for (const [diskIndex, own] of this.#disks) {
      for (const [firstBlock, bytes] of own.blocks)
        await sender.sendExtent({ diskIndex, firstBlock, blockCount: 1, bytes, isBlank: false })
      const masks = masksOf(own)
      const batches = pieceBatches(
        [...masks.keys()].sort((a, b) => a - b),
        (block) => masks.get(block) ?? 0,
        (block) => sender.laneOf(diskIndex, block),
        sender.maxPiecesPerFrame,
      )
      for (const batch of batches) {
        const pieces = batch.flatMap(([block, mask]) => [...numbersOf(block, mask)])
        const bytes = Buffer.concat(pieces.map((piece) => own.pieces.get(piece) ?? new Uint8Array(0)))
        await sender.sendPieces({ diskIndex, pieces, bytes })
      }
    }
  }

  #of(diskIndex: number): HeldOfDisk {
    const known = this.#disks.get(diskIndex)
    if (known !== undefined) return known
    const own: HeldOfDisk = { blocks: new Map(), pieces: new Map() }
    this.#disks.set(diskIndex, own)
    return own
  }

  #replace(held: Map<number, Uint8Array>, key: number, bytes: Uint8Array | undefined): void {
    this.#bytes += (bytes?.length ?? 0) - (held.get(key)?.length ?? 0)
    if (bytes === undefined) held.delete(key)
    else held.set(key, bytes)
  }
}
