/**
 * Proves that a copy is what its source is, while the source is written to, and repairs it where it is not. Decision 8 has the reasons.
 *
 * A part of a disk is dealt with as a whole before the next, and nothing else is sent of it meanwhile:
 *
 * ```
 * ask the tracker ─▶ send what is dirty, keeping its hashes ─▶ read and hash the rest ─▶ VERIFY ─▶ ask the tracker
 *    ▲                                                                                            │
 *    └──────────── mark dirty what changed meanwhile or differed, and what is damaged ◀───────────┘  until nothing of it is left
 * ```
 *
 * A block that was sent must be at the other end as it was sent, whatever the source has become since. One that was not sent, and that the
 * tracker has not named from before it was read until after the answer, must be as it was read. So every answer is certain, and a block that
 * never rests is proven too.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { Clock } from '../clock.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Verified } from './questions.ts'
import type { Reader } from './reader.ts'
import type { Sender } from './sender.ts'
import type { DiskVerification } from './verification.ts'
import { blockHashes, equalHashes, hashAt, rootOf, unknownHash } from '../../wire/hash.ts'
import { maxBlocksPerVerify } from '../../wire/frame.ts'
import { hasBit } from '../../wire/bitmap.ts'
import { hashBytes } from '../../wire/message.ts'
import { WireError } from '../../wire/wire_error.ts'
import { forEachAtOnce, pieces } from './scanner.ts'
import type { Scanner } from './scanner.ts'

/** Blocks read at a time. */
const readBlocks = 16

/** Rounds over one part after which what still differs counts as not repaired. */
const maxRounds = 4

/**
 * A request may have changed the disk a moment before the kernel says that it is complete. A block that differs is looked at for this long
 * before it counts as different.
 */
const settleMs = 1000
const settleStepMs = 20

/** What a verifier works with. */
export interface VerifierContext {
  clock: Clock
  reader: Reader
  scanner: Scanner
  /** Asks every tracker with every check, and marks what changed. False when certainty was lost and a rescan has begun. */
  drain(): Promise<boolean>
}

/** One part while it is dealt with. */
interface Part extends Extent {
  hashes: Uint8Array
  /** Positions of the blocks that were sent for it, whose hashes are of what was sent. */
  sent: Set<number>
}

/** Moves a verification on, a part at a time. */
export class Verifier {
  readonly #context: VerifierContext

  constructor(context: VerifierContext) {
    this.#context = context
  }

  /**
   * Deals with the next part of a disk. When certainty is lost meanwhile nothing is said of the part: it is done again after the rescan.
   * @throws whatever reading or the session throws; the part is then done again.
   */
  async step(own: DiskVerification, sender: Sender): Promise<void> {
    const { disk } = own
    const extent = own.nextPart(maxBlocksPerVerify)
    const part: Part = { ...extent, hashes: new Uint8Array(extent.blockCount * hashBytes), sent: new Set() }
    if (!(await this.#context.drain())) return
    await this.#sendDirty(disk, part, sender)
    await this.#hashRest(disk, part)
    for (let round = 1; ; round++) {
      const answer = await sender.verify({ diskIndex: disk.diskIndex, ...extent, hashes: part.hashes })
      const again = await this.#judge(own, part, answer)
      if (again === undefined) return
      // Also after the last round: what is not repaired stays outstanding.
      for (const index of again) disk.dirty.mark(part.firstBlock + index, 1)
      if (again.length === 0 || round === maxRounds) {
        this.#finish(own, part, answer)
        return
      }
      await this.#sendDirty(disk, part, sender)
    }
  }

  /** Sends what is dirty of a part, and keeps the hashes of what was sent. */
  async #sendDirty(disk: DiskSync, part: Part, sender: Sender): Promise<void> {
    // Of a block that is sent in pieces the hash of what the far end then has is not known.
    for (let block = part.firstBlock; block < part.firstBlock + part.blockCount; block++)
      if (disk.dirty.piecesOf(block) !== 0) disk.dirty.mark(block, 1)
    await forEachAtOnce(dirtyIn(disk, part, sender.maxBlocksPerExtent), sender.extentsAtOnce, (extent) =>
      this.#context.reader.withExtent(disk, extent, async (own, bytes) => {
        const start = own.firstBlock - part.firstBlock
        part.hashes.set(blockHashes(bytes), start * hashBytes)
        for (let index = 0; index < own.blockCount; index++) part.sent.add(start + index)
        await sender.sendExtent({ diskIndex: disk.diskIndex, ...own, bytes, isBlank: false })
      }),
    )
  }

  /** Reads and hashes what was not sent. */
  async #hashRest(disk: DiskSync, part: Part): Promise<void> {
    const { scanner } = this.#context
    await forEachAtOnce(pieces(part, readBlocks), scanner.piecesAtOnce(disk), async (piece) => {
      const start = piece.firstBlock - part.firstBlock
      const hashes = await scanner.hashPiece(disk, piece)
      for (let index = 0; index < piece.blockCount; index++) {
        if (part.sent.has(start + index)) continue
        part.hashes.set(hashAt(hashes, index), (start + index) * hashBytes)
      }
    })
  }

  /** The positions that must be sent before the part can be asked about again; undefined when certainty was lost. */
  async #judge(own: DiskVerification, part: Part, answer: Verified): Promise<number[] | undefined> {
    const { disk } = own
    const again: number[] = []
    let doubtful: number[] = []
    for (let index = 0; index < part.blockCount; index++) {
      const block = part.firstBlock + index
      if (equalHashes(hashAt(part.hashes, index), unknownHash)) continue
      const isDamaged = hasBit(answer.damaged, index)
      if (!isDamaged && !hasBit(answer.differing, index)) continue
      // What was sent is not there, or is no longer what was written: no change of the source explains that.
      if (isDamaged || part.sent.has(index)) {
        own.found(block, isDamaged)
        again.push(index)
      } else if (disk.tracker.needsPasses || disk.isUnreadable(block)) again.push(index)
      else doubtful.push(index)
    }
    if (!(await this.#context.drain())) return undefined
    const { clock } = this.#context
    const until = clock.monotonicMs() + settleMs
    for (;;) {
      const isChanged = (index: number) => disk.dirty.has(part.firstBlock + index)
      again.push(...doubtful.filter(isChanged))
      doubtful = doubtful.filter((index) => !isChanged(index))
      if (doubtful.length === 0 || clock.monotonicMs() >= until) break
      await clock.sleep(settleStepMs)
      if (!(await this.#context.drain())) return undefined
    }
    for (const index of doubtful) own.found(part.firstBlock + index, false)
    return [...again, ...doubtful]
  }

  #finish(own: DiskVerification, part: Part, answer: Verified): void {
    const sourceRoot = rootOf(part.hashes)
    let repairedBlocks = 0
    let unreadableBlocks = 0
    let isSame = true
    for (let index = 0; index < part.blockCount; index++) {
      const isGood = !hasBit(answer.differing, index) && !hasBit(answer.damaged, index)
      if (equalHashes(hashAt(part.hashes, index), unknownHash)) unreadableBlocks += 1
      else if (isGood && own.hasFound(part.firstBlock + index)) repairedBlocks += 1
      if (hasBit(answer.differing, index)) isSame = false
    }
    if (isSame !== equalHashes(sourceRoot, answer.root)) {
      throw new WireError(
        'BAD_FRAME',
        'Cannot believe VERIFIED: its root does not fit what it says of the blocks',
      )
    }
    own.finishPart(
      part,
      { sourceRoot, replicaRoot: answer.root, repairedBlocks, unreadableBlocks },
      this.#context.clock.monotonicMs(),
    )
  }
}

/** Runs of dirty blocks inside a part, inside borders of 1 MiB. */
function* dirtyIn(disk: DiskSync, part: Extent, maxBlocks: number): Generator<Extent> {
  const end = part.firstBlock + part.blockCount
  for (const extent of disk.dirty.extents(part.firstBlock, maxBlocks, readBlocks)) {
    if (extent.firstBlock >= end) return
    yield extent
  }
}
