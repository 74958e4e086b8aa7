/**
 * Tracking by the kernel's own trace of completed requests. Sees every write below every file system, and discards: also those of several ranges,
 * of whose end the kernel tells only the first, see `DiscardsUnderWay`.
 * @module
 */
import type { MarkedDisk } from './mark_file.ts'
import type { TracedDevice } from './trace.ts'
import type { TraceHub } from './trace_hub.ts'
import type { TraceSink } from './subscriptions.ts'
import type { TrackMemory } from './track_memory.ts'
import type { Drained, Tracker } from './tracker.ts'
import type { PieceRoom } from '../sync/piece_room.ts'
import { ChangeMap } from '../sync/change_map.ts'
import { joined } from './track_memory.ts'

/** Watches one block device through a {@link TraceHub}. */
export class TracefsTracker implements Tracker {
  readonly kind = 'tracefs'
  readonly reason: string
  readonly needsPasses = false
  readonly #hub: TraceHub
  readonly #device: TracedDevice
  readonly #disk: MarkedDisk | undefined
  #memory: TrackMemory | undefined
  readonly #changed: ChangeMap
  #lost: string | undefined

  /** @param input `disk` as it is known again by a later run; nothing outlives this one where it cannot be. */
  constructor(input: {
    hub: TraceHub
    device: TracedDevice
    sizeBytes: number
    reason: string
    /** For changes not asked for yet, shared by all disks. */
    room: PieceRoom
    disk?: MarkedDisk | undefined
  }) {
    this.#hub = input.hub
    this.#disk = input.disk
    this.#device = input.device
    this.reason = input.reason
    this.#changed = new ChangeMap(input.sizeBytes, input.room)
  }

  get waitingBytes(): number {
    return this.#changed.bytes
  }

  get memory(): TrackMemory | undefined {
    return this.#memory
  }

  async start(): Promise<void> {
    const sink: TraceSink = {
      changed: (firstSector, sectorCount) => this.#changed.markSectors(firstSector, sectorCount),
      lost: (reason) => {
        this.#lost ??= reason
      },
    }
    const memory = await this.#hub.subscribe(this.#device, sink, this.#disk)
    this.#memory = memory && this.#complete(memory)
  }

  /** What was not asked for yet is outstanding too; while a loss was not told, the memory of it stays. */
  #complete(memory: TrackMemory): TrackMemory {
    const changed = this.#changed
    return {
      get inherited() {
        return memory.inherited
      },
      save: (state, outstanding) => {
        if (this.#lost !== undefined) return
        memory.save(state, joined(changed.touchedBlocks(), outstanding))
      },
      willSend: (end) => memory.willSend(end),
      grow: (sizeBytes) => memory.grow(sizeBytes),
    }
  }

  grow(sizeBytes: number): void {
    this.#changed.grow(sizeBytes)
    this.#memory?.grow(sizeBytes)
  }

  async drain(isStrict = false): Promise<Drained> {
    await this.#hub.pump(isStrict)
    const changed = this.#changed.takeAll()
    const reason = this.#lost
    this.#lost = undefined
    return reason === undefined ? { lost: false, changed } : { lost: true, reason }
  }

  stop(): Promise<void> {
    return this.#hub.unsubscribe(this.#device)
  }
}
