/**
 * The disks being replicated: opened and watched as the gateway asks, closed when it no longer does, looked at from time to time.
 * @module
 */
import type { AgentDesired } from '../../wire/control_api.ts'
import type { Clock } from '../clock.ts'
import type { BlockSource } from '../disk/block_source.ts'
import type { Tracker } from '../tracking/tracker.ts'
import { DiskGoneError, OtherDiskError } from '../disk/block_source.ts'
import { DiskSync } from './disk_sync.ts'
import { PieceRoom } from './piece_room.ts'
import { otherDisk, requireDistinct, requireRight, shrunk } from './right_disk.ts'

/** A disk as the gateway names it. */
export type DesiredDisk = AgentDesired['disks'][number]

/** The copy that a tracker's memory is about. */
export type TrackedVolume = Pick<DesiredDisk, 'volumeId' | 'sizeBytes'>

/** What trackers keep for the next run of the agent: see `TraceHub`. */
export interface KeptDisks {
  /** Forgets what earlier runs left of volumes other than these. */
  retain(volumeIds: readonly string[]): Promise<void>
  /** This process ends, tracking goes on. */
  leave(): Promise<void>
}

/** Where disks come from. */
export interface DiskSetContext {
  clock: Clock
  /** @throws DiskGoneError when there is none. */
  openSource(deviceName: string): Promise<BlockSource>
  chooseTracker(source: BlockSource, volume: TrackedVolume): Promise<Tracker>
  /** What outlives the process; absent where nothing does. */
  kept?: KeptDisks
  /** Whether the agent offers this device; it opens no other, whoever asks. */
  isOffered(deviceName: string): boolean
  /** A sentence worth an event in the dashboard. */
  note(level: 'INFO' | 'WARNING' | 'ERROR', message: string): void
}

/** Sizes are looked at this often. */
const checkIntervalMs = 5000

/** A disk that can't be replicated now, while others are. */
export interface StoppedDisk {
  want: DesiredDisk
  error: DiskGoneError | OtherDiskError
}

/** Opened disks by their index. */
export class DiskSet {
  readonly #context: DiskSetContext
  readonly #disks = new Map<number, DiskSync>()
  readonly #room = new PieceRoom()
  /** By their index. */
  readonly #stopped = new Map<number, StoppedDisk>()
  #hasReturned = false
  #checkedAtMs = 0

  constructor(context: DiskSetContext) {
    this.#context = context
  }

  /** The disks, in the order of their index. */
  get all(): DiskSync[] {
    return [...this.#disks.values()].sort((a, b) => a.diskIndex - b.diskIndex)
  }

  /** Disks that are asked for and not opened, as they are not there: the copy of the server is not whole. In the order of their index. */
  get stopped(): StoppedDisk[] {
    return [...this.#stopped.values()].sort((a, b) => a.want.diskIndex - b.want.diskIndex)
  }

  /** A stopped disk can be opened again: the next {@link apply} does. */
  get hasReturned(): boolean {
    return this.#hasReturned
  }

  /**
   * Opens what is missing, closes what is no longer asked for, and lets those grow whose volumes have. Tracking starts here, before any block is read.
   * A disk that is missing, smaller than it was or another one stops alone, as long as there are others.
   * @throws DiskGoneError, OtherDiskError when there are none, Error when one device is asked for twice.
   */
  async apply(desired: readonly DesiredDisk[]): Promise<void> {
    requireDistinct(desired)
    for (const disk of this.#disks.values()) {
      const same = desired.find(
        (want) =>
          want.diskIndex === disk.diskIndex &&
          want.volumeId === disk.volumeId &&
          want.deviceName === disk.deviceName &&
          otherDisk(want, disk.source.identity) === undefined,
      )
      if (same === undefined || same.sizeBytes < disk.sizeBytes) await this.close(disk)
      else if (same.sizeBytes > disk.sizeBytes) await this.#grow(disk, same.sizeBytes)
    }
    await this.#openMissing(desired)
    await this.#context.kept?.retain(desired.map(({ volumeId }) => volumeId))
  }

  /** The tracker first: what is written while the rest follows must be seen. */
  async #grow(disk: DiskSync, sizeBytes: number): Promise<void> {
    const isBytes = await disk.source.currentSizeBytes()
    if (isBytes < sizeBytes) throw shrunk(disk.deviceName, sizeBytes, isBytes)
    const wasBytes = disk.sizeBytes
    disk.tracker.grow(sizeBytes)
    disk.source.growTo(sizeBytes)
    disk.grow(sizeBytes, this.#context.clock.monotonicMs())
    this.#context.note(
      'INFO',
      `Disk ${disk.deviceName} is replicated up to ${sizeBytes} bytes, ${sizeBytes - wasBytes} more than before; only those are compared`,
    )
  }

  async #openMissing(desired: readonly DesiredDisk[]): Promise<void> {
    const before = new Map(this.#stopped)
    this.#stopped.clear()
    this.#hasReturned = false
    for (const want of desired) {
      const { diskIndex } = want
      if (this.#disks.has(diskIndex)) continue
      try {
        await this.#open(want)
      } catch (error) {
        if (!(error instanceof DiskGoneError || error instanceof OtherDiskError)) throw error
        this.#stopped.set(diskIndex, { want, error })
      }
    }
    const [first] = this.stopped
    if (first !== undefined && this.#disks.size === 0) throw first.error
    for (const { want, error } of this.stopped)
      if (before.get(want.diskIndex)?.error.message !== error.message)
        this.#context.note('WARNING', `${error.message}. The other disks go on`)
  }

  async #open(want: DesiredDisk): Promise<void> {
    if (!this.#context.isOffered(want.deviceName)) {
      throw new DiskGoneError(
        want.deviceName,
        `Cannot replicate ${want.deviceName}: it is not among the disks that this agent offers; see rehost-agent inventory`,
      )
    }
    const source = await this.#context.openSource(want.deviceName)
    try {
      requireRight(want, source)
      const tracker = await this.#context.chooseTracker(source, want)
      await tracker.start()
      const { diskIndex, volumeId, sizeBytes } = want
      const room = this.#room
      this.#disks.set(diskIndex, new DiskSync({ diskIndex, volumeId, sizeBytes, source, tracker, room }))
      this.#context.note('INFO', `Disk ${want.deviceName} is tracked by ${tracker.kind}: ${tracker.reason}`)
    } catch (error) {
      await source.close()
      throw error
    }
  }

  /** Looks whether a stopped disk is there again. */
  async #look({ want }: StoppedDisk): Promise<void> {
    if (!this.#context.isOffered(want.deviceName)) return
    try {
      const source = await this.#context.openSource(want.deviceName)
      try {
        requireRight(want, source)
        this.#hasReturned = true
      } finally {
        await source.close()
      }
    } catch {
      // What stopped it stands, or is another reason, which the next opening tells.
    }
  }

  /**
   * Looks at the sizes, and for disks that were not there, every few seconds.
   * @throws DiskGoneError when a disk is gone or has become smaller.
   */
  async check(): Promise<void> {
    const now = this.#context.clock.monotonicMs()
    if (now - this.#checkedAtMs < checkIntervalMs) return
    this.#checkedAtMs = now
    for (const disk of this.#disks.values()) {
      const sizeBytes = await disk.source.currentSizeBytes()
      if (sizeBytes < disk.sizeBytes) throw shrunk(disk.deviceName, disk.sizeBytes, sizeBytes)
    }
    for (const stopped of this.#stopped.values()) await this.#look(stopped)
  }

  /** Closes the disk that an error names, so that the next {@link apply} opens it anew and everything of it is compared. */
  async closeByName(deviceName: string): Promise<void> {
    for (const disk of this.#disks.values()) if (disk.deviceName === deviceName) await this.close(disk)
  }

  /** Stops tracking and closes. What was known of it is forgotten. */
  async close(disk: DiskSync): Promise<void> {
    this.#disks.delete(disk.diskIndex)
    try {
      await disk.tracker.stop()
    } finally {
      await disk.source.close()
    }
  }

  /** Closes all, and forgets what any run knew of them. */
  async closeAll(): Promise<void> {
    this.#stopped.clear()
    for (const disk of [...this.#disks.values()]) await this.close(disk)
    await this.#context.kept?.retain([])
  }

  /** Closes all; where a tracker can, it goes on without this process. */
  async leaveAll(): Promise<void> {
    const disks = [...this.#disks.values()]
    this.#disks.clear()
    try {
      for (const { tracker } of disks) if (tracker.memory === undefined) await tracker.stop()
      await this.#context.kept?.leave()
    } finally {
      for (const { source } of disks) await source.close()
    }
  }
}
