/**
 * Which pieces of a block: 16 bits, the lowest for the first piece.
 * @module
 */
import { piecesPerBlock } from '../../domain/units.ts'

/** All pieces of a block. */
export const wholeMask = 2 ** piecesPerBlock - 1

/** Pieces `first` to `end - 1`. */
export function maskOf(first: number, end: number): number {
  return ((1 << end) - 1) & ~((1 << first) - 1)
}

/** How many pieces `mask` has. */
export function piecesIn(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1
  return count
}

/** The numbers on the disk of the pieces that `mask` has of block `block`, ascending. */
export function* numbersOf(block: number, mask: number): Generator<number> {
  for (let piece = 0; piece < piecesPerBlock; piece++) {
    if (((mask >>> piece) & 1) === 1) yield block * piecesPerBlock + piece
  }
}
