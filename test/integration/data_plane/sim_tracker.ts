/**
 * A tracker of a simulated disk: it sees each write when it is over, unless events are lost, and has a memory that outlives the run.
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Drained, Tracker } from '../../../agent/tracking/tracker.ts'
import type { TrackMemory } from '../../../agent/tracking/track_memory.ts'
import { ScanTracker } from '../../../agent/tracking/scan_tracker.ts'
import { ChangeMap } from '../../../agent/sync/change_map.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import type { SimMemory } from './sim_memory.ts'

/** Blocks that a tracker knows in pieces at most: few, so that others are copied whole. */
const piecedBlocks = 6

/** Told of a write that is over; answers whether the event of it is lost. */
export type Listener = (firstSector: number, sectorCount: number) => boolean

/** Now or a little later, so that others come in between. */
export async function someTurns(random: () => number): Promise<void> {
  if (random() < 0.2) await nextTurn()
  else if (random() < 0.5) await Promise.resolve()
}

/** What a tracker is made of. */
export interface SimTrackerParts {
  listeners: Set<Listener>
  /** Of the volume; the tracker may know of more of the disk. */
  volumeBytes: number
  /** Up to where the tracker knows of changes. */
  sizeBytes: number
  random: () => number
  /** Of one event. */
  lossChance: () => number
  memory: SimMemory
  generation: number
  /** Whether its run was killed: nothing that it says reaches the memory any more. */
  isKilled: () => boolean
}

/** Sees events; some are lost, and it says so. */
export class SimTracker implements Tracker {
  readonly kind = 'tracefs'
  readonly reason = 'It is simulated'
  readonly needsPasses = false
  readonly memory: TrackMemory
  readonly #parts: SimTrackerParts
  readonly #changed: ChangeMap
  #isLost = false
  readonly #listener = (firstSector: number, sectorCount: number): boolean => {
    const isLost = this.#parts.random() < this.#parts.lossChance()
    if (isLost) this.#isLost = true
    else this.#changed.markSectors(firstSector, sectorCount)
    return isLost
  }

  constructor(parts: SimTrackerParts) {
    this.#parts = parts
    this.#changed = new ChangeMap(parts.sizeBytes, new PieceRoom(piecedBlocks))
    this.memory = this.#memoryOfRun()
  }

  get waitingBytes(): number {
    return this.#changed.bytes
  }

  start(): Promise<void> {
    this.#parts.listeners.add(this.#listener)
    this.#parts.memory.begin(this.#parts.generation, this.#parts.volumeBytes)
    return Promise.resolve()
  }

  grow(sizeBytes: number): void {
    this.#changed.grow(sizeBytes)
    this.memory.grow(sizeBytes)
  }

  async drain(): Promise<Drained> {
    const isEarly = this.#parts.random() < 0.5
    const early = isEarly ? this.#take() : undefined
    await someTurns(this.#parts.random)
    return early ?? this.#take()
  }

  stop(): Promise<void> {
    this.#parts.listeners.delete(this.#listener)
    if (!this.#parts.isKilled()) this.#parts.memory.forget()
    return Promise.resolve()
  }

  /** As `TracefsTracker` does it: what was not asked for yet is outstanding too, and a loss that was not told stays. */
  #memoryOfRun(): TrackMemory {
    const { memory, isKilled } = this.#parts
    const changed = this.#changed
    return {
      get inherited() {
        return memory.inherited
      },
      save: (state, outstanding) => {
        if (!this.#isLost && !isKilled()) memory.save(state, [...changed.touchedBlocks(), ...outstanding])
      },
      willSend: (end) => {
        if (!isKilled()) memory.willSend(end)
      },
      grow: (sizeBytes) => {
        if (!isKilled()) memory.grow(sizeBytes)
      },
    }
  }

  #take(): Drained {
    const changed = this.#changed.takeAll()
    const isLost = this.#isLost
    this.#isLost = false
    return isLost ? { lost: true, reason: 'simulated loss of events' } : { lost: false, changed }
  }
}

/** A tracker that sees nothing, as for a file. */
export function passTracker(): Tracker {
  return new ScanTracker('It is simulated')
}
