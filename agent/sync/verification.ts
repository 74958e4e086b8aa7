/**
 * A verification that the gateway asked for: how far it has come on each disk, and what it found. It outlives sessions and goes on where one ended.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { VerifiedDisk } from '../../domain/verified_disk.ts'
import type { DiskSync } from './disk_sync.ts'
import { blockSizeBytes, extentBytes } from '../../domain/units.ts'
import { RootHash } from '../../wire/hash.ts'
import { DirtyMap } from './dirty_map.ts'

/** Differing extents that are named; the blocks of all are counted. */
const maxExtentsNamed = 20

/** What is told of the whole. */
export interface VerificationReport {
  verifyEpoch: number
  isDone: boolean
  disks: VerifiedDisk[]
}

/** What a part of a disk turned out to be. */
export interface CheckedPart {
  sourceRoot: Uint8Array
  replicaRoot: Uint8Array
  repairedBlocks: number
  unreadableBlocks: number
}

/** One disk of a verification. */
export class DiskVerification {
  readonly disk: DiskSync
  readonly #startedAtMs: number
  #endedAtMs: number | undefined
  /** Of the disk, when it was begun. */
  #sizeBytes: number
  #cursor = 0
  #repairedBlocks = 0
  #unreadableBlocks = 0
  /** A block that is found twice, because a session ended in between, counts once. */
  readonly #differing: DirtyMap
  readonly #damaged: DirtyMap
  #sourceRoot = new RootHash()
  #replicaRoot = new RootHash()
  #roots: { sourceRoot: string; replicaRoot: string } | undefined

  constructor(disk: DiskSync, nowMs: number) {
    this.disk = disk
    this.#sizeBytes = disk.sizeBytes
    this.#startedAtMs = nowMs
    this.#differing = new DirtyMap(disk.blockCount)
    this.#damaged = new DirtyMap(disk.blockCount)
  }

  get isDone(): boolean {
    return this.#cursor >= this.disk.blockCount
  }

  /** Begins again when the disk has grown, as its last block may have become longer. What was found stays found. */
  follow(): void {
    const { sizeBytes, blockCount } = this.disk
    if (sizeBytes === this.#sizeBytes) return
    this.#sizeBytes = sizeBytes
    this.#differing.grow(blockCount)
    this.#damaged.grow(blockCount)
    this.#cursor = 0
    this.#repairedBlocks = 0
    this.#unreadableBlocks = 0
    this.#sourceRoot = new RootHash()
    this.#replicaRoot = new RootHash()
    this.#roots = undefined
    this.#endedAtMs = undefined
  }

  /** The next blocks to be checked, at most `blocks` of them, up to a multiple of that. */
  nextPart(blocks: number): Extent {
    const end = Math.min(this.disk.blockCount, (Math.floor(this.#cursor / blocks) + 1) * blocks)
    return { firstBlock: this.#cursor, blockCount: end - this.#cursor }
  }

  /** A block of the copy is not what it should be. */
  found(block: number, isDamaged: boolean): void {
    this.#differing.mark(block, 1)
    if (isDamaged) this.#damaged.mark(block, 1)
  }

  /** Whether a block was found to differ. */
  hasFound(block: number): boolean {
    return this.#differing.has(block)
  }

  /** Goes on behind a part that is dealt with. */
  finishPart(part: Extent, checked: CheckedPart, nowMs: number): void {
    this.#sourceRoot.update(checked.sourceRoot)
    this.#replicaRoot.update(checked.replicaRoot)
    this.#repairedBlocks += checked.repairedBlocks
    this.#unreadableBlocks += checked.unreadableBlocks
    this.#cursor = part.firstBlock + part.blockCount
    if (!this.isDone) return
    this.#endedAtMs = nowMs
    this.#roots = { sourceRoot: this.#sourceRoot.digest(), replicaRoot: this.#replicaRoot.digest() }
  }

  /** How it stands. */
  report(nowMs: number): VerifiedDisk {
    const { diskIndex, sizeBytes } = this.disk
    const differences: VerifiedDisk['differences'] = []
    for (const extent of this.#differing.extents(0, Number.MAX_SAFE_INTEGER)) {
      if (differences.length === maxExtentsNamed) break
      differences.push(extentBytes(extent, sizeBytes))
    }
    return {
      diskIndex,
      checkedBytes: Math.min(sizeBytes, this.#cursor * blockSizeBytes),
      differingBlocks: this.#differing.count,
      damagedBlocks: this.#damaged.count,
      repairedBlocks: this.#repairedBlocks,
      unreadableBlocks: this.#unreadableBlocks,
      differences,
      ...this.#roots,
      durationMs: Math.round((this.#endedAtMs ?? nowMs) - this.#startedAtMs),
    }
  }
}

/** The verification that is asked for, if there is one. */
export class Verification {
  #verifyEpoch: number | undefined
  #disks = new Map<number, DiskVerification>()
  /** Told until the gateway no longer asks. */
  #done: VerificationReport | undefined

  /** What the gateway asks for now; true when that is a verification not heard of before. */
  apply(verifyEpoch: number | undefined): boolean {
    if (verifyEpoch === this.#verifyEpoch) return false
    this.#verifyEpoch = verifyEpoch
    this.#done = undefined
    this.restart()
    return verifyEpoch !== undefined
  }

  /** Whether one is asked for that is not done. */
  get isUnderWay(): boolean {
    return this.#verifyEpoch !== undefined && this.#done === undefined
  }

  /** What was checked counts no more: of one disk, whose copy is another one, or of all. */
  restart(diskIndex?: number): void {
    if (diskIndex === undefined) this.#disks.clear()
    else this.#disks.delete(diskIndex)
  }

  /** The disk to go on with; undefined when there is nothing to do. */
  next(disks: readonly DiskSync[], nowMs: number): DiskVerification | undefined {
    if (!this.isUnderWay) return undefined
    for (const disk of disks) {
      let own = this.#disks.get(disk.diskIndex)
      if (own?.disk !== disk) {
        own = new DiskVerification(disk, nowMs)
        this.#disks.set(disk.diskIndex, own)
      }
      own.follow()
      if (!own.isDone) return own
    }
    return undefined
  }

  /** Every one of `disks` is dealt with: that is the result, whatever becomes of the disks. True when that is news. */
  finish(disks: readonly DiskSync[], nowMs: number): boolean {
    if (this.#verifyEpoch === undefined || this.#done !== undefined || disks.length === 0) return false
    if (this.next(disks, nowMs) !== undefined) return false
    this.#done = { verifyEpoch: this.#verifyEpoch, isDone: true, disks: this.#reports(disks, nowMs) }
    return true
  }

  /** How it stands; undefined when none is asked for. */
  report(disks: readonly DiskSync[], nowMs: number): VerificationReport | undefined {
    if (this.#verifyEpoch === undefined) return undefined
    return this.#done ?? { verifyEpoch: this.#verifyEpoch, isDone: false, disks: this.#reports(disks, nowMs) }
  }

  #reports(disks: readonly DiskSync[], nowMs: number): VerifiedDisk[] {
    return disks.flatMap((disk) => {
      const own = this.#disks.get(disk.diskIndex)
      return own?.disk === disk ? [own.report(nowMs)] : []
    })
  }
}
