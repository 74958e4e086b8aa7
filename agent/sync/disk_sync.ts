/**
 * What is known of one disk's copy: which blocks are outstanding, how far the comparison has come, and since when it is certain.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { BlockSource, UnreadableSectorError } from '../disk/block_source.ts'
import type { FinishedScan, Scan } from './scan.ts'
import type { SavedState } from '../tracking/track_memory.ts'
import type { Tracker } from '../tracking/tracker.ts'
import { blockCountOf, blockLengthBytes, blockSizeBytes } from '../../domain/units.ts'
import { ChangeMap } from './change_map.ts'
import type { Change } from './change_map.ts'
import { PieceRoom } from './piece_room.ts'
import { UnreadableBlocks } from './unreadable_blocks.ts'

/** Wait between two passes over a disk that no tracker sees: a second, or three times as long as the last pass took, so that reading and hashing
 * take a quarter of the time at most. */
const leastPassPauseMs = 1000
const passPauseShare = 3

/** Replication of one disk. */
export class DiskSync {
  readonly diskIndex: number
  readonly deviceName: string
  readonly volumeId: string
  /** Size of the volume; what the disk has grown by since waits for a larger one. */
  #sizeBytes: number
  readonly source: BlockSource
  readonly tracker: Tracker
  readonly dirty: ChangeMap
  /** Bytes cleared and being read or compressed. */
  bytesInHand = 0
  /** Comparisons begun after a loss of certainty. */
  rescans = 0
  /** The first copy is whole. */
  isInitialSyncDone = false
  /** The volume holds something durable: the replicator said so, or something sent was acknowledged. */
  hasDurableBlocks = false
  /** The replicator has told what the volume holds. */
  isKnown = false
  /** Names the contents of the volume, as the replicator said last. */
  copyId: string | undefined
  lastScan: FinishedScan | undefined
  #scan: Scan | undefined
  readonly #unreadable: UnreadableBlocks

  constructor(input: {
    diskIndex: number
    volumeId: string
    sizeBytes: number
    source: BlockSource
    tracker: Tracker
    /** Shared by all disks. Default: one of its own. */
    room?: PieceRoom
  }) {
    this.diskIndex = input.diskIndex
    this.deviceName = input.source.deviceName
    this.volumeId = input.volumeId
    this.#sizeBytes = input.sizeBytes
    this.source = input.source
    this.tracker = input.tracker
    this.dirty = new ChangeMap(input.sizeBytes, input.room ?? new PieceRoom())
    this.#unreadable = new UnreadableBlocks(this.blockCount, this.deviceName)
  }

  /** Bytes that are replicated. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Blocks that are replicated. */
  get blockCount(): number {
    return blockCountOf(this.#sizeBytes)
  }

  /**
   * The volume has grown with its disk: what is new is copied, and nothing else is read again. Call it between sessions, when nothing is on its
   * way, and after tracker and source have grown.
   */
  grow(sizeBytes: number, nowMs: number): void {
    // The last block may have been shorter than a block; it is another one now.
    const firstBlock = Math.floor(this.#sizeBytes / blockSizeBytes)
    this.#sizeBytes = sizeBytes
    this.dirty.grow(sizeBytes)
    this.#unreadable.grow(this.blockCount)
    if (!this.isKnown) return
    const scan = this.#scan
    if (scan === undefined || scan.purpose === 'PASS') {
      this.isInitialSyncDone = false
      this.beginScan('COMPARE', 'INITIAL', nowMs)
      this.#scan = { ...this.#requireScan(), cursor: firstBlock, isPartial: true }
      return
    }
    // The scan under way goes on to the new end. What it may have dealt with already is done again.
    if (scan.cursor > firstBlock) this.dirty.mark(firstBlock, 1)
    // Nobody promises that a volume is zero where it has grown: zeros are said there.
    scan.attemptedEnd = this.blockCount
  }

  /** The scan under way. */
  get scan(): Scan | undefined {
    return this.#scan
  }

  /** Marks what a tracker saw change. In pieces only where the rest of the block is the same at the other end by all that was sent before. */
  markChanged({ firstBlock, blockCount, pieces }: Change): void {
    const scan = this.#scan
    const isRestKnown =
      this.isKnown && (scan === undefined || firstBlock < scan.cursor) && !this.#unreadable.has(firstBlock)
    if (pieces === undefined || !isRestKnown) this.dirty.mark(firstBlock, blockCount)
    else this.dirty.markPieces(firstBlock, pieces)
  }

  /** Begins to walk over all blocks. What is under way is given up: the new walk covers it. */
  beginScan(mode: Scan['mode'], purpose: Scan['purpose'], nowMs: number): void {
    // An interrupted first copy stays a first copy, whatever it is begun again for.
    const isStillInitial = !this.isInitialSyncDone && purpose === 'RESCAN'
    this.#scan = {
      mode,
      purpose: isStillInitial ? 'INITIAL' : purpose,
      cursor: 0,
      attemptedEnd: 0,
      startedAtMs: nowMs,
      walkedMs: 0,
      differences: 0,
    }
    if (this.#scan.purpose === 'RESCAN') this.rescans += 1
    // Of no block it is known any more what the other end holds beside its marked pieces.
    this.dirty.forgetPieces()
  }

  /** Blocks of a blank volume before `end` are about to be sent for the first time. */
  attempt(scan: Scan, end: number): void {
    // Should the agent be killed, the next run must not take these for blank.
    this.tracker.memory?.willSend(end)
    scan.attemptedEnd = Math.max(scan.attemptedEnd, end)
  }

  /** Goes on where an earlier run was: `marks` and what lies behind the cursor may differ from the copy, nothing else. */
  resume(state: SavedState, marks: Iterable<Extent>, nowMs: number): void {
    this.isKnown = true
    this.isInitialSyncDone = state.isInitialSyncDone
    this.hasDurableBlocks ||= state.hasDurableBlocks
    for (const extent of marks) this.dirty.mark(extent.firstBlock, extent.blockCount)
    if (state.scan === undefined) return
    const scan = { ...state.scan, startedAtMs: nowMs, walkedMs: 0 }
    this.#scan = scan
    if (scan.purpose === 'RESCAN') this.rescans += 1
  }

  /** What a later run needs to {@link resume}; undefined while nothing can be said. */
  savedState(rescanEpoch: number): SavedState | undefined {
    const { copyId, isInitialSyncDone, hasDurableBlocks } = this
    if (!this.isKnown || copyId === undefined) return undefined
    const state = { copyId, rescanEpoch, isInitialSyncDone, hasDurableBlocks }
    if (this.#scan === undefined) return state
    const { startedAtMs: _, walkedMs: __, isPartial, ...scan } = this.#scan
    return { ...state, scan: { ...scan, isPartial: isPartial === true } }
  }

  /** Blocks that may differ from the copy, but for those in hand or on their way. */
  *outstanding(): Generator<Extent> {
    yield* this.dirty.touchedBlocks()
    yield* this.#unreadable.extents()
  }

  /** Ends the walk once its cursor is at the end. */
  finishScan(nowMs: number): FinishedScan {
    const scan = this.#requireScan()
    if (scan.cursor < this.blockCount) throw new Error(`The scan of ${this.deviceName} is not at its end`)
    this.#scan = undefined
    this.isInitialSyncDone = true
    const { purpose, startedAtMs, walkedMs, differences } = scan
    const finished = { purpose, startedAtMs, endedAtMs: nowMs, walkedMs, differences }
    if (scan.isPartial !== true) this.lastScan = finished
    return finished
  }

  /** Whether it is time to compare a disk that no tracker sees. */
  isPassDue(nowMs: number): boolean {
    if (!this.tracker.needsPasses || this.#scan !== undefined || this.lastScan === undefined) return false
    const { purpose, walkedMs, endedAtMs } = this.lastScan
    // A first copy takes as long as the link needs, days perhaps: of what a pass costs it says nothing.
    const pauseMs = purpose === 'PASS' ? passPauseShare * walkedMs : 0
    return nowMs - endedAtMs >= Math.max(leastPassPauseMs, pauseMs)
  }

  #requireScan(): Scan {
    if (this.#scan === undefined) throw new Error(`The scan of ${this.deviceName} is not at its end`)
    return this.#scan
  }

  /** Certainty is lost: everything must be compared. */
  loseCertainty(nowMs: number): void {
    // Before the first WELCOME nothing is certain anyway; what it says decides how to begin.
    if (this.isKnown) this.beginScan('COMPARE', 'RESCAN', nowMs)
  }

  /**
   * What the replicator says of the volume, at the start of a session. The first time it decides how to begin; later it changes nothing, unless the
   * volume has lost what was durable: then it answers true, and the copy begins anew.
   */
  learnContents(contents: 'EMPTY' | 'PARTIAL', wasComplete: boolean, nowMs: number): boolean {
    const isEmptied = this.isKnown && contents === 'EMPTY' && this.hasDurableBlocks
    this.hasDurableBlocks = contents === 'PARTIAL'
    if (this.isKnown && !isEmptied) return false
    this.isKnown = true
    if (contents === 'EMPTY') this.isInitialSyncDone = false
    else this.isInitialSyncDone = wasComplete
    this.dirty.clear(0, this.blockCount)
    if (contents === 'EMPTY') this.beginScan('BLANK', 'INITIAL', nowMs)
    else this.beginScan('COMPARE', wasComplete ? 'RESCAN' : 'INITIAL', nowMs)
    return isEmptied
  }

  /** Remembers a block that cannot be read: it stays outstanding, and nothing is claimed of the disk. True when that is news. */
  markUnreadable(block: number, error: UnreadableSectorError, nowMs: number): boolean {
    return this.#unreadable.mark(block, error, nowMs)
  }

  /** A block was read: should it have been unreadable, it no longer is. */
  markReadable(extent: Extent): void {
    this.#unreadable.clear(extent)
  }

  /** Whether a block could not be read when it was last tried: what the copy holds of it is older. */
  isUnreadable(block: number): boolean {
    return this.#unreadable.has(block)
  }

  /** Makes unreadable blocks dirty again from time to time, so that they are tried again. */
  retryUnreadable(nowMs: number): void {
    if (!this.#unreadable.isRetryDue(nowMs)) return
    for (const { firstBlock, blockCount } of this.#unreadable.extents())
      this.dirty.mark(firstBlock, blockCount)
  }

  /** A failure to read that still stands. */
  get unreadable(): UnreadableSectorError | undefined {
    return this.#unreadable.failure
  }

  /** Blocks that cannot be read. */
  get unreadableCount(): number {
    return this.#unreadable.count
  }

  /** Bytes of an extent on this disk. */
  lengthOf(extent: Extent): number {
    const whole = (extent.blockCount - 1) * blockSizeBytes
    return whole + blockLengthBytes(extent.firstBlock + extent.blockCount - 1, this.sizeBytes)
  }

  /** Blocks of the first copy that the scan has not come to. */
  get unscannedBlocks(): number {
    return this.#scan?.purpose === 'INITIAL' ? this.blockCount - this.#scan.cursor : 0
  }

  /** Bytes that the scan under way has dealt with; all when there is none. */
  get scannedBytes(): number {
    if (!this.isKnown) return 0
    if (this.#scan === undefined || this.#scan.purpose === 'PASS') return this.sizeBytes
    return Math.min(this.sizeBytes, this.#scan.cursor * blockSizeBytes)
  }
}
