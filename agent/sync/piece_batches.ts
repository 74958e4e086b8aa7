/**
 * Pieces gathered into what one frame carries.
 * @module
 */
import { maxPiecesPerFrame } from '../../wire/limits.ts'
import { piecesIn } from './piece_masks.ts'

/** Pieces of blocks that go in one frame: a block, and the mask of its pieces, ascending by block. */
export type PieceBatch = readonly (readonly [block: number, mask: number])[]

/**
 * Cuts marked pieces into batches. All blocks of a batch share a lane, so that a frame stays on one connection.
 *
 * @param blocks ascending.
 * @param maskOf the pieces of a block that are marked.
 * @param laneOf the connection that a block belongs to.
 * @param mostPieces of a batch; at least a block's. Default: what fits a frame.
 */
export function* pieceBatches(
  blocks: readonly number[],
  maskOf: (block: number) => number,
  laneOf: (block: number) => number,
  mostPieces = maxPiecesPerFrame,
): Generator<PieceBatch> {
  const open = new Map<number, { batch: [number, number][]; pieces: number }>()
  for (const block of blocks) {
    const mask = maskOf(block)
    const count = piecesIn(mask)
    if (count === 0) continue
    const lane = laneOf(block)
    let own = open.get(lane)
    if (own !== undefined && own.pieces + count > mostPieces) {
      open.delete(lane)
      yield own.batch
      own = undefined
    }
    if (own === undefined) open.set(lane, (own = { batch: [], pieces: 0 }))
    own.batch.push([block, mask])
    own.pieces += count
  }
  for (const { batch } of open.values()) yield batch
}
