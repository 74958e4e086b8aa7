/**
 * Reads pieces of a disk into one stretch of memory: many small reads, those of neighbours as one.
 * @module
 */
import type { DiskSync } from './disk_sync.ts'
import { pieceSizeBytes, piecesPerBlock } from '../../domain/units.ts'
import { UnreadableSectorError } from '../disk/block_source.ts'

/** Reads under way at once. */
const readsAtOnce = 8

/** Pieces as they were read. */
export interface PiecesRead {
  /** Ascending, without those of the blocks in `unreadable`. */
  pieces: readonly number[]
  /** The bytes of `pieces` one after the other: the begin of the memory that was given. */
  bytes: Uint8Array
  /** Blocks that a piece could not be read of. */
  unreadable: ReadonlySet<number>
}

const blockOf = (piece: number): number => Math.floor(piece / piecesPerBlock)

/** Bytes of a piece: fewer at the end of the disk. */
function lengthOf(piece: number, sizeBytes: number): number {
  return Math.min(pieceSizeBytes, sizeBytes - piece * pieceSizeBytes)
}

/**
 * Reads ascending `pieces` into `memory`, which is aligned as {@link import('../disk/block_source.ts').BlockSource} asks and has room for them.
 * @throws DiskGoneError, when nothing reads into the memory any more.
 */
export async function readPieces(
  disk: DiskSync,
  pieces: readonly number[],
  memory: Uint8Array,
): Promise<PiecesRead> {
  const unreadable = new Set<number>()
  const failures: unknown[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < pieces.length && failures.length === 0) {
      const start = next
      const first = pieces[start] ?? 0
      while (next < pieces.length && pieces[next] === first + next - start) next++
      const end = next
      const lengthBytes = (end - start - 1) * pieceSizeBytes + lengthOf(pieces[end - 1] ?? 0, disk.sizeBytes)
      const into = memory.subarray(start * pieceSizeBytes, end * pieceSizeBytes)
      try {
        await disk.source.read(first * pieceSizeBytes, lengthBytes, into)
      } catch (error) {
        if (!(error instanceof UnreadableSectorError)) failures.push(error)
        else for (let index = start; index < end; index++) unreadable.add(blockOf(pieces[index] ?? 0))
      }
    }
  }
  await Promise.all(Array.from({ length: readsAtOnce }, lane))
  if (failures.length > 0) throw failures[0]
  return { ...without(unreadable, pieces, memory, disk.sizeBytes), unreadable }
}

/** What is left without unreadable blocks, moved together. */
function without(
  unreadable: ReadonlySet<number>,
  pieces: readonly number[],
  memory: Uint8Array,
  sizeBytes: number,
): Pick<PiecesRead, 'pieces' | 'bytes'> {
  const bytesOf = (kept: readonly number[]): Uint8Array => {
    const last = kept.at(-1)
    if (last === undefined) return memory.subarray(0, 0)
    return memory.subarray(0, (kept.length - 1) * pieceSizeBytes + lengthOf(last, sizeBytes))
  }
  if (unreadable.size === 0) return { pieces, bytes: bytesOf(pieces) }
  const kept: number[] = []
  for (const [index, piece] of pieces.entries()) {
    if (unreadable.has(blockOf(piece))) continue
    const start = index * pieceSizeBytes
    memory.copyWithin(kept.length * pieceSizeBytes, start, start + pieceSizeBytes)
    kept.push(piece)
  }
  return { pieces: kept, bytes: bytesOf(kept) }
}
