/**
 * The list of a PIECES frame: which pieces its payload holds. 64 bits each, little endian, every one greater than the one before.
 * @module
 */
import { blake3Stream } from './blake3.ts'
import { maxPiecesPerDisk, pieceNumberBytes } from './limits.ts'
import { WireError } from './wire_error.ts'

const twoTo32 = 2 ** 32

function requireNext(piece: number, before: number): void {
  if (piece > before && piece < maxPiecesPerDisk) return
  throw new WireError('BAD_FRAME', 'Cannot accept a PIECES frame whose pieces are not in ascending order', {
    expected: `${before + 1} to ${maxPiecesPerDisk - 1}`,
    actual: piece,
  })
}

/** The bytes of a list. @throws WireError BAD_FRAME for one that the other end would refuse. */
export function encodePieces(pieces: readonly number[]): Buffer {
  const list = Buffer.allocUnsafe(pieces.length * pieceNumberBytes)
  let before = -1
  let at = 0
  for (const piece of pieces) {
    requireNext(piece, before)
    list.writeUInt32LE(piece % twoTo32, at)
    list.writeUInt32LE(Math.floor(piece / twoTo32), at + 4)
    before = piece
    at += pieceNumberBytes
  }
  return list
}

/** The list behind `bytes`, a whole number of entries. @throws WireError BAD_FRAME when they do not ascend, or no disk has such a piece. */
export function decodePieces(bytes: Buffer): number[] {
  const pieces: number[] = []
  let before = -1
  for (let at = 0; at < bytes.length; at += pieceNumberBytes) {
    const piece = bytes.readUInt32LE(at + 4) * twoTo32 + bytes.readUInt32LE(at)
    requireNext(piece, before)
    pieces.push(piece)
    before = piece
  }
  return pieces
}

/** The hash of a PIECES frame: BLAKE3 over the list as it stands on the wire, then the raw bytes. So a piece in a wrong place is found too. */
export function piecesHash(pieces: readonly number[], raw: Uint8Array): Uint8Array {
  const stream = blake3Stream()
  stream.update(encodePieces(pieces))
  stream.update(raw)
  return stream.digest()
}
