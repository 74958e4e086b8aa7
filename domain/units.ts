/**
 * Units of the data plane: the block, and how positions and lengths are written.
 * @module
 */

/** Bytes in one block: the grain of change tracking, hashing and proofs. Part of the wire format, so it never changes silently. */
export const blockSizeBytes = 65_536

/** Bytes in a sector: what Linux counts in, whatever the disk's own sector size is. */
export const sectorSizeBytes = 512

/** Blocks that may travel in one frame: 1 MiB. */
export const maxExtentBlocks = 16

/** Bytes in a piece: the part of a block that travels alone when only that was written. Part of the wire format as the block is. */
export const pieceSizeBytes = 4096

/** Pieces of a block. */
export const piecesPerBlock = blockSizeBytes / pieceSizeBytes

/** A run of whole blocks of one disk. */
export interface Extent {
  firstBlock: number
  blockCount: number
}

/** Blocks needed to hold `sizeBytes`; the last one may be short. */
export function blockCountOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockSizeBytes)
}

/** Bytes in block `index` of a disk of `sizeBytes`: a whole block, or what is left at the end. */
export function blockLengthBytes(index: number, sizeBytes: number): number {
  return Math.min(blockSizeBytes, sizeBytes - index * blockSizeBytes)
}

/** The bytes an extent covers on a disk of `sizeBytes`. */
export function extentBytes(extent: Extent, sizeBytes: number): { offsetBytes: number; lengthBytes: number } {
  const offsetBytes = extent.firstBlock * blockSizeBytes
  return { offsetBytes, lengthBytes: Math.min(extent.blockCount * blockSizeBytes, sizeBytes - offsetBytes) }
}

/** A speed for people, as `14.2 MB/s`. */
export function speedInWords(bytesPerSecond: number): string {
  return `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`
}

/** ISO 8601 duration of `milliseconds` as MGN writes it: `PT23M56.654S`, `P0D` for none. */
export function isoDuration(milliseconds: number): string {
  if (milliseconds <= 0) return 'P0D'
  const seconds = milliseconds / 1000
  const days = Math.floor(seconds / 86_400)
  const hours = Math.floor((seconds % 86_400) / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  const rest = Number((seconds % 60).toFixed(3))
  const time = `${hours ? `${hours}H` : ''}${minutes ? `${minutes}M` : ''}${rest ? `${rest}S` : ''}`
  return `P${days ? `${days}D` : ''}${time ? `T${time}` : ''}`
}
