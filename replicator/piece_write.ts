/**
 * The pieces of a PIECES frame as a volume writes them: which blocks they touch, which of them lie side by side, and whether they are what
 * was hashed.
 * @module
 */
import type { Extent } from '../domain/units.ts'
import { pieceSizeBytes, piecesPerBlock } from '../domain/units.ts'
import { decodePayload } from '../wire/encoding.ts'
import { equalHashes, toHex } from '../wire/hash.ts'
import type { Message } from '../wire/message.ts'
import { piecesHash } from '../wire/piece_list.ts'
import { WireError } from '../wire/wire_error.ts'
import { writeFully } from './disk.ts'
import type { Disk } from './disk.ts'

/** A PIECES message. */
export type PiecesMessage = Extract<Message, { type: 'PIECES' }>

/** Writes of one frame under way at once. */
const writesAtOnce = 8

/** The blocks that ascending `pieces` lie in, in runs that do not touch each other. */
export function blocksOfPieces(pieces: readonly number[]): Extent[] {
  const extents: Extent[] = []
  let last: Extent | undefined
  for (const piece of pieces) {
    const block = Math.floor(piece / piecesPerBlock)
    if (last !== undefined && block < last.firstBlock + last.blockCount) continue
    if (last !== undefined && block === last.firstBlock + last.blockCount) last.blockCount++
    else extents.push((last = { firstBlock: block, blockCount: 1 }))
  }
  return extents
}

/** Bytes that `pieces` have on a disk of `sizeBytes`, all of which are on it. */
export function bytesOfPieces(pieces: readonly number[], sizeBytes: number): number {
  const last = pieces.at(-1) ?? 0
  return (pieces.length - 1) * pieceSizeBytes + Math.min(pieceSizeBytes, sizeBytes - last * pieceSizeBytes)
}

/** Writes `raw`, the bytes of ascending `pieces`; those that are neighbours at once. @throws Error of the disk, when nothing writes any more. */
export async function writePieceRuns(data: Disk, pieces: readonly number[], raw: Uint8Array): Promise<void> {
  let next = 0
  let failure: { error: unknown } | undefined
  const lane = async (): Promise<void> => {
    while (next < pieces.length && failure === undefined) {
      const start = next
      const first = pieces[start] ?? 0
      let end = start + 1
      while (end < pieces.length && pieces[end] === first + end - start) end++
      next = end
      const bytes = raw.subarray(start * pieceSizeBytes, end * pieceSizeBytes)
      try {
        await writeFully(data, bytes, first * pieceSizeBytes)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: writesAtOnce }, lane))
  if (failure !== undefined) throw failure.error
}

/**
 * The raw bytes of `message`, once they and their places have the hash that they should have.
 * @throws WireError HASH_MISMATCH naming `volume`, or BAD_FRAME.
 */
export async function verifiedPieces(
  message: PiecesMessage,
  volume: { volumeId: string; diskIndex: number },
): Promise<Uint8Array> {
  const raw = await decodePayload(message.payload, message.encoding, message.rawBytes)
  const actual = piecesHash(message.pieces, raw)
  if (equalHashes(actual, message.hash)) return raw
  throw new WireError(
    'HASH_MISMATCH',
    `Cannot write ${message.pieces.length} pieces from ${message.pieces[0]} of volume ${volume.volumeId}: their bytes are not those ` +
      'that were hashed; they are sent again. If it comes back, test the memory of both machines',
    { expected: toHex(message.hash), actual: toHex(actual), diskIndex: volume.diskIndex },
  )
}
