/**
 * What lies on a volume: blocks and pieces of its source disk, the last of each as short as the disk has it.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { blockCountOf, extentBytes, pieceSizeBytes } from '../domain/units.ts'
import { WireError } from '../wire/wire_error.ts'
import { bytesOfPieces } from './piece_write.ts'

/** The bounds of one volume. */
export class VolumeRange {
  readonly #volume: { volumeId: string; diskIndex: number; sizeBytes: number }
  readonly #blockCount: number

  constructor(volume: { volumeId: string; diskIndex: number; sizeBytes: number }) {
    this.#volume = volume
    this.#blockCount = blockCountOf(volume.sizeBytes)
  }

  /** @throws WireError OUT_OF_RANGE when the blocks are not all there, or `rawBytes`, where given, is not their length. */
  requireExtent(extent: Extent, rawBytes?: number): void {
    const { firstBlock, blockCount } = extent
    const { volumeId, sizeBytes } = this.#volume
    const last = firstBlock + blockCount - 1
    if (last >= this.#blockCount) {
      throw this.#outOfRange(
        `Cannot reach blocks ${firstBlock} to ${last} of volume ${volumeId}`,
        `below ${this.#blockCount}`,
        last,
      )
    }
    const { lengthBytes } = extentBytes(extent, sizeBytes)
    if (rawBytes === undefined || rawBytes === lengthBytes) return
    throw this.#outOfRange(
      `Cannot write ${rawBytes} bytes as blocks from ${firstBlock}`,
      lengthBytes,
      rawBytes,
    )
  }

  /** @throws WireError OUT_OF_RANGE when ascending `pieces` are not all there, or `rawBytes` is not their length. */
  requirePieces(pieces: readonly number[], rawBytes: number): void {
    const { volumeId, sizeBytes } = this.#volume
    const pieceCount = Math.ceil(sizeBytes / pieceSizeBytes)
    const last = pieces.at(-1) ?? 0
    if (last >= pieceCount) {
      throw this.#outOfRange(`Cannot reach piece ${last} of volume ${volumeId}`, `below ${pieceCount}`, last)
    }
    const lengthBytes = bytesOfPieces(pieces, sizeBytes)
    if (rawBytes === lengthBytes) return
    throw this.#outOfRange(
      `Cannot write ${rawBytes} bytes as ${pieces.length} pieces up to ${last}`,
      lengthBytes,
      rawBytes,
    )
  }

  #outOfRange(message: string, expected: string | number, actual: number): WireError {
    return new WireError('OUT_OF_RANGE', message, { expected, actual, diskIndex: this.#volume.diskIndex })
  }
}
