/**
 * A source disk in memory with writers of its own, and a tracker that sees each write when it is over, unless events are lost. It remembers
 * every version of every sector, and so knows what a copy may hold.
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import type { Drained, Tracker } from '../../../agent/tracking/tracker.ts'
import { ScanTracker } from '../../../agent/tracking/scan_tracker.ts'
import { ChangeMap } from '../../../agent/sync/change_map.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { blockSizeBytes, sectorSizeBytes } from '../../../domain/units.ts'
import { randomInt } from '../../fixtures/seed.ts'

/** Blocks that a tracker knows in pieces at most: few, so that others are copied whole. */
const piecedBlocks = 6

/** Told of a write that is over. */
type Listener = (firstSector: number, sectorCount: number) => void

interface Version {
  /** Number of the write. */
  write: number
  bytes: Buffer
}

/** Now or a little later, so that others come in between. */
async function someTurns(random: () => number): Promise<void> {
  if (random() < 0.2) await nextTurn()
  else if (random() < 0.5) await Promise.resolve()
}

/** Bytes of which every sector is like no other: random where it counts, as random bytes all through take time to make. */
export function distinctSectors(random: () => number, length: number): Buffer {
  const bytes = Buffer.alloc(length, randomInt(random, 1, 255))
  for (let at = 0; at < length; at += sectorSizeBytes)
    bytes.writeDoubleLE(random(), at + 8 * randomInt(random, 0, 63))
  return bytes
}

/** The disk; it survives the agent. */
export class SimSource {
  readonly deviceName: string
  readonly bytes: Buffer
  readonly #random: () => number
  readonly #nowMs: () => number
  /** Versions of each sector, oldest first; the first is what it held at the begin. */
  readonly #versions: Version[][]
  /** When each write was over, by its number; undefined while it is under way. */
  readonly #overAtMs: (number | undefined)[] = [-1]
  readonly #listeners = new Set<Listener>()
  #life = 0
  readsSinceReset = 0

  /** @param nowMs the agent's clock. */
  constructor(input: { deviceName: string; bytes: Buffer; random: () => number; nowMs: () => number }) {
    this.deviceName = input.deviceName
    this.bytes = input.bytes
    this.#random = input.random
    this.#nowMs = input.nowMs
    this.#versions = Array.from({ length: input.bytes.length / sectorSizeBytes }, (_, sector) => [
      { write: 0, bytes: Buffer.from(this.#sector(sector)) },
    ])
  }

  /** Writes somewhere, mostly around the edges of blocks; resolves when it is over. */
  async writeSomewhere(): Promise<void> {
    const random = this.#random
    const sectors = this.#versions.length
    const sectorsPerBlock = blockSizeBytes / sectorSizeBytes
    const edge = sectorsPerBlock * randomInt(random, 0, Math.floor(sectors / sectorsPerBlock))
    const near = edge + randomInt(random, -2, 2)
    const first = Math.max(
      0,
      Math.min(sectors - 1, random() < 0.6 ? near : randomInt(random, 0, sectors - 1)),
    )
    const most = random() < 0.7 ? 4 : 3 * sectorsPerBlock
    const count = Math.min(sectors - first, randomInt(random, 1, most))
    const length = count * sectorSizeBytes
    const bytes = random() < 0.25 ? Buffer.alloc(length) : distinctSectors(random, length)
    await this.#write(first, bytes)
  }

  /** For one life of the agent. */
  open(): BlockSource {
    const life = this.#life
    return {
      deviceName: this.deviceName,
      sizeBytes: this.bytes.length,
      read: async (offsetBytes, lengthBytes, into) => {
        this.readsSinceReset += 1
        // A read is not one moment: writes come in between its parts.
        for (let at = 0; at < lengthBytes;) {
          await someTurns(this.#random)
          if (life !== this.#life) throw new Error('The agent was killed')
          const sectors = randomInt(this.#random, 1, 2 * (blockSizeBytes / sectorSizeBytes))
          const length = Math.min(lengthBytes - at, sectors * sectorSizeBytes)
          into.set(this.bytes.subarray(offsetBytes + at, offsetBytes + at + length), at)
          at += length
        }
      },
      currentSizeBytes: () => Promise.resolve(this.bytes.length),
      growTo: () => undefined,
      close: () => Promise.resolve(),
    }
  }

  /** @param lossChance of one event. */
  tracker(lossChance: () => number): Tracker {
    return new SimTracker(this.#listeners, this.bytes.length, this.#random, lossChance)
  }

  /** The agent is killed: its reads end, its tracker is gone. */
  kill(): void {
    this.#life++
    this.#listeners.clear()
  }

  /**
   * Why `copy` can't be what this agent's copy holds if everything written before `coveredMs` is durable there; undefined when it can: each
   * sector must be the last version before that time or a later one.
   */
  violation(copy: Buffer, coveredMs: number): string | undefined {
    for (const [sector, versions] of this.#versions.entries()) {
      const oldest = versions.findLastIndex(({ write }) => {
        const overAtMs = this.#overAtMs[write]
        return overAtMs !== undefined && overAtMs < coveredMs
      })
      const found = copy.subarray(sector * sectorSizeBytes, (sector + 1) * sectorSizeBytes)
      if (versions.slice(Math.max(0, oldest)).some(({ bytes }) => bytes.equals(found))) continue
      const known = versions.findIndex(({ bytes }) => bytes.equals(found))
      return `sector ${sector} of ${this.deviceName} holds version ${known} of 0 to ${versions.length - 1}, ${oldest} is claimed`
    }
    return undefined
  }

  #sector(sector: number): Buffer {
    return this.bytes.subarray(sector * sectorSizeBytes, (sector + 1) * sectorSizeBytes)
  }

  async #write(firstSector: number, bytes: Buffer): Promise<void> {
    const write = this.#overAtMs.length
    this.#overAtMs.push(undefined)
    const count = bytes.length / sectorSizeBytes
    for (let index = 0; index < count; index++) {
      if (this.#random() < 0.1) await someTurns(this.#random)
      const sector = bytes.subarray(index * sectorSizeBytes, (index + 1) * sectorSizeBytes)
      this.#sector(firstSector + index).set(sector)
      this.#versions[firstSector + index]?.push({ write, bytes: Buffer.from(sector) })
    }
    await someTurns(this.#random)
    this.#overAtMs[write] = this.#nowMs()
    for (const listener of this.#listeners) listener(firstSector, count)
  }
}

/** Sees events; some are lost, and it says so. */
class SimTracker implements Tracker {
  readonly kind = 'tracefs'
  readonly reason = 'It is simulated'
  readonly needsPasses = false
  readonly #listeners: Set<Listener>
  readonly #random: () => number
  readonly #lossChance: () => number
  readonly #changed: ChangeMap
  #isLost = false
  readonly #listener = (firstSector: number, sectorCount: number): void => {
    if (this.#random() < this.#lossChance()) this.#isLost = true
    else this.#changed.markSectors(firstSector, sectorCount)
  }

  constructor(listeners: Set<Listener>, sizeBytes: number, random: () => number, lossChance: () => number) {
    this.#listeners = listeners
    this.#changed = new ChangeMap(sizeBytes, new PieceRoom(piecedBlocks))
    this.#random = random
    this.#lossChance = lossChance
  }

  get waitingBytes(): number {
    return this.#changed.bytes
  }

  start(): Promise<void> {
    this.#listeners.add(this.#listener)
    return Promise.resolve()
  }

  grow(sizeBytes: number): void {
    this.#changed.grow(sizeBytes)
  }

  async drain(): Promise<Drained> {
    const isEarly = this.#random() < 0.5
    const early = isEarly ? this.#take() : undefined
    await someTurns(this.#random)
    return early ?? this.#take()
  }

  stop(): Promise<void> {
    this.#listeners.delete(this.#listener)
    return Promise.resolve()
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
