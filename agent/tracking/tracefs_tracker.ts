/**
 * Tracking by the kernel's own trace of completed requests. Sees every write below every file system, discards too.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { DeviceNumber } from './trace_instance.ts'
import type { TraceHub } from './trace_hub.ts'
import type { Drained, Tracker } from './tracker.ts'
import { blockCountOf, blockSizeBytes, sectorSizeBytes } from '../../domain/units.ts'
import { DirtyMap } from '../sync/dirty_map.ts'

const sectorsPerBlock = blockSizeBytes / sectorSizeBytes

/** The blocks that sectors lie in; a write that touches a block changes it. */
export function blocksOf(firstSector: number, sectorCount: number): Extent {
  const firstBlock = Math.floor(firstSector / sectorsPerBlock)
  const end = Math.ceil((firstSector + sectorCount) / sectorsPerBlock)
  return { firstBlock, blockCount: end - firstBlock }
}

/** Watches one block device through a {@link TraceHub}. */
export class TracefsTracker implements Tracker {
  readonly kind = 'tracefs'
  readonly reason: string
  readonly needsPasses = false
  readonly #hub: TraceHub
  readonly #device: DeviceNumber
  readonly #changed: DirtyMap
  #lost: string | undefined

  constructor(input: { hub: TraceHub; device: DeviceNumber; sizeBytes: number; reason: string }) {
    this.#hub = input.hub
    this.#device = input.device
    this.reason = input.reason
    this.#changed = new DirtyMap(blockCountOf(input.sizeBytes))
  }

  get waitingBlocks(): number {
    return this.#changed.count
  }

  start(): Promise<void> {
    return this.#hub.subscribe(this.#device, {
      changed: (firstSector, sectorCount) => {
        const { firstBlock, blockCount } = blocksOf(firstSector, sectorCount)
        this.#changed.mark(firstBlock, blockCount)
      },
      lost: (reason) => {
        this.#lost ??= reason
      },
    })
  }

  async drain(isStrict = false): Promise<Drained> {
    await this.#hub.pump(isStrict)
    const changed = [...this.#changed.extents(0, Number.MAX_SAFE_INTEGER)]
    for (const extent of changed) this.#changed.clear(extent.firstBlock, extent.blockCount)
    const reason = this.#lost
    this.#lost = undefined
    return reason === undefined ? { lost: false, changed } : { lost: true, reason }
  }

  stop(): Promise<void> {
    return this.#hub.unsubscribe(this.#device)
  }
}
