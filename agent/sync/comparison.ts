/**
 * One step's comparison of a disk with its copy: pieces are read and hashed in order, several at once, and while the replicator answers for some,
 * the next ones are under way.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Sender } from './sender.ts'
import { hasBit } from '../../wire/bitmap.ts'
import { hashBytes } from '../../wire/message.ts'

/** Blocks that one question asks about, between two multiples of it: 16 MiB. */
const questionBlocks = 256

/** Questions on their way. The far end may have to read its volume for an answer, and whoever waits for the step waits for all. */
const questionsAtOnce = 4

/** What a comparison works with. */
export interface ComparisonContext {
  disk: DiskSync
  sender: Sender
  /** The hashes of a piece, read now. */
  hash(piece: Extent): Promise<Uint8Array>
  /** Pieces that are read at once. */
  piecesAtOnce: number
}

interface HashedPiece {
  piece: Extent
  hashes: Promise<Uint8Array>
}

/** See the module. Pieces come in ascending order, without gaps, and none crosses a multiple of 256 blocks. */
export class Comparison {
  readonly #context: ComparisonContext
  /** Being read, in order. */
  readonly #reading: HashedPiece[] = []
  /** Hashed, and not asked about yet. */
  #hashed: { piece: Extent; hashes: Uint8Array }[] = []
  /** Asked about, in order. */
  readonly #asked: Promise<void>[] = []
  #differences = 0

  constructor(context: ComparisonContext) {
    this.#context = context
  }

  /** Compares `pieces`; answers how many blocks differ. @throws what reading or the session throws, when nothing is under way any more. */
  async compare(pieces: Iterable<Extent>): Promise<number> {
    try {
      for (const piece of pieces) {
        const hashes = this.#context.hash(piece)
        // It is awaited later, perhaps after another one's failure.
        hashes.catch(() => undefined)
        this.#reading.push({ piece, hashes })
        if (this.#reading.length >= this.#context.piecesAtOnce) await this.#takeHashed()
      }
      while (this.#reading.length > 0) await this.#takeHashed()
      this.#ask()
      await Promise.all(this.#asked)
      return this.#differences
    } finally {
      await Promise.allSettled(this.#reading.map(({ hashes }) => hashes))
      await Promise.allSettled(this.#asked)
    }
  }

  async #takeHashed(): Promise<void> {
    const next = this.#reading[0]
    if (next === undefined) return
    const hashes = await next.hashes
    this.#reading.shift()
    this.#hashed.push({ piece: next.piece, hashes })
    if ((next.piece.firstBlock + next.piece.blockCount) % questionBlocks !== 0) return
    this.#ask()
    if (this.#asked.length < questionsAtOnce) return
    await this.#asked[0]
    void this.#asked.shift()
  }

  /** Asks about what is hashed; what differs becomes dirty. */
  #ask(): void {
    const [first] = this.#hashed
    if (first === undefined) return
    const { disk, sender } = this.#context
    const blockCount = this.#hashed.reduce((sum, { piece }) => sum + piece.blockCount, 0)
    const hashes = new Uint8Array(blockCount * hashBytes)
    const { firstBlock } = first.piece
    for (const own of this.#hashed) hashes.set(own.hashes, (own.piece.firstBlock - firstBlock) * hashBytes)
    this.#hashed = []
    const answer = sender
      .queryHashes({ diskIndex: disk.diskIndex, firstBlock, blockCount, hashes })
      .then((bitmap) => this.#mark(firstBlock, blockCount, bitmap))
    // It is awaited later, perhaps after another one's failure.
    answer.catch(() => undefined)
    this.#asked.push(answer)
  }

  #mark(firstBlock: number, blockCount: number, bitmap: Uint8Array): void {
    for (let index = 0; index < blockCount; index++) {
      if (!hasBit(bitmap, index)) continue
      this.#context.disk.dirty.mark(firstBlock + index, 1)
      this.#differences += 1
    }
  }
}
