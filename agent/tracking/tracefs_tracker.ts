/**
 * Tracking by the kernel's own trace of completed requests. Sees every write below every file system, discards too.
 * @module
 */
import type { DeviceNumber } from './trace_instance.ts'
import type { TraceHub } from './trace_hub.ts'
import type { Drained, Tracker } from './tracker.ts'
import type { PieceRoom } from '../sync/piece_room.ts'
import { ChangeMap } from '../sync/change_map.ts'

/** Watches one block device through a {@link TraceHub}. */
export class TracefsTracker implements Tracker {
  readonly kind = 'tracefs'
  readonly reason: string
  readonly needsPasses = false
  readonly #hub: TraceHub
  readonly #device: DeviceNumber
  readonly #changed: ChangeMap
  #lost: string | undefined

  constructor(input: {
    hub: TraceHub
    device: DeviceNumber
    sizeBytes: number
    reason: string
    /** For changes not asked for yet, shared by all disks. */
    room: PieceRoom
  }) {
    this.#hub = input.hub
    this.#device = input.device
    this.reason = input.reason
    this.#changed = new ChangeMap(input.sizeBytes, input.room)
  }

  get waitingBytes(): number {
    return this.#changed.bytes
  }

  start(): Promise<void> {
    return this.#hub.subscribe(this.#device, {
      changed: (firstSector, sectorCount) => this.#changed.markSectors(firstSector, sectorCount),
      lost: (reason) => {
        this.#lost ??= reason
      },
    })
  }

  grow(sizeBytes: number): void {
    this.#changed.grow(sizeBytes)
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
