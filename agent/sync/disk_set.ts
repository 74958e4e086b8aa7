/**
 * The disks being replicated: opened and watched as the gateway asks, closed when it no longer does, looked at from time to time.
 * @module
 */
import type { AgentDesired } from '../../wire/control_api.ts'
import type { Clock } from '../clock.ts'
import type { BlockSource } from '../disk/block_source.ts'
import type { Tracker } from '../tracking/tracker.ts'
import { DiskGoneError } from '../disk/block_source.ts'
import { DiskSync } from './disk_sync.ts'
import { PieceRoom } from './piece_room.ts'

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

/** A disk that has become smaller, in a sentence. */
function shrunk(deviceName: string, wasBytes: number, isBytes: number): DiskGoneError {
  return new DiskGoneError(
    deviceName,
    `Disk ${deviceName} has ${isBytes} bytes, ${wasBytes - isBytes} fewer than when it was added (${wasBytes}); ` +
      'disconnect the server and add it again, so that it is copied at its new size',
  )
}

/** One device copied to two volumes means that another disk has no copy. */
function requireDistinct(desired: readonly DesiredDisk[]): void {
  const indexes = new Map<string, number>()
  for (const { deviceName, diskIndex } of desired) {
    const other = indexes.get(deviceName)
    if (other !== undefined) {
      throw new Error(
        `Cannot copy ${deviceName} as disk ${other} and as disk ${diskIndex}; disconnect the server and add it again`,
      )
    }
    indexes.set(deviceName, diskIndex)
  }
}

/** Opened disks by their index. */
export class DiskSet {
  readonly #context: DiskSetContext
  readonly #disks = new Map<number, DiskSync>()
  readonly #room = new PieceRoom()
  #checkedAtMs = 0

  constructor(context: DiskSetContext) {
    this.#context = context
  }

  /** The disks, in the order of their index. */
  get all(): DiskSync[] {
    return [...this.#disks.values()].sort((a, b) => a.diskIndex - b.diskIndex)
  }

  /**
   * Opens what is missing, closes what is no longer asked for, and lets those grow whose volumes have. Tracking starts here, before any block is read.
   * @throws DiskGoneError when a disk is missing or smaller than it was, Error when one device is asked for twice.
   */
  async apply(desired: readonly DesiredDisk[]): Promise<void> {
    requireDistinct(desired)
    for (const disk of this.#disks.values()) {
      const same = desired.find(
        (want) =>
          want.diskIndex === disk.diskIndex &&
          want.volumeId === disk.volumeId &&
          want.deviceName === disk.deviceName,
      )
      if (same === undefined || same.sizeBytes < disk.sizeBytes) await this.close(disk)
      else if (same.sizeBytes > disk.sizeBytes) await this.#grow(disk, same.sizeBytes)
    }
    for (const want of desired) if (!this.#disks.has(want.diskIndex)) await this.#open(want)
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

  async #open(want: DesiredDisk): Promise<void> {
    if (!this.#context.isOffered(want.deviceName)) {
      throw new DiskGoneError(
        want.deviceName,
        `Cannot replicate ${want.deviceName}: it is not among the disks that this agent offers; see rehost-agent inventory`,
      )
    }
    const source = await this.#context.openSource(want.deviceName)
    try {
      if (source.sizeBytes < want.sizeBytes) throw shrunk(want.deviceName, want.sizeBytes, source.sizeBytes)
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

  /**
   * Looks at the sizes, every few seconds.
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
