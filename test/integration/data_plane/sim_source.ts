/**
 * A source disk in memory with writers of its own. It remembers every version of every sector, and so knows what a copy may hold.
 * @module
 */
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import type { Tracker } from '../../../agent/tracking/tracker.ts'
import { blockSizeBytes, sectorSizeBytes } from '../../../domain/units.ts'
import { randomInt } from '../../fixtures/seed.ts'
import { SimMemory } from './sim_memory.ts'
import { SimTracker, someTurns } from './sim_tracker.ts'
import type { Listener } from './sim_tracker.ts'

interface Version {
  /** Number of the write. */
  write: number
  bytes: Buffer
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
  #bytes: Buffer
  /** Of its volume, as the gateway knows it: less than the disk has while it has grown and the volume has not. */
  volumeBytes: number
  /** As much of it as the agent replicates, as much as it did before, and until when: it hears of a larger volume later than the gateway has made it. */
  #followed: { bytes: number; bytesBefore: number; untilMs: number }
  /** What outlives a run of the agent. */
  readonly memory: SimMemory
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
    this.#bytes = input.bytes
    this.volumeBytes = input.bytes.length
    this.#followed = { bytes: input.bytes.length, bytesBefore: input.bytes.length, untilMs: 0 }
    this.memory = new SimMemory(input.bytes.length)
    this.#random = input.random
    this.#nowMs = input.nowMs
    this.#versions = Array.from({ length: input.bytes.length / sectorSizeBytes }, (_, sector) => [
      { write: 0, bytes: Buffer.from(this.#sector(sector)) },
    ])
  }

  /** What it holds now. */
  get bytes(): Buffer {
    return this.#bytes
  }

  /** It is larger from now on: `more` is what the new part holds. */
  grow(more: Buffer): void {
    const sectorsBefore = this.#versions.length
    this.#bytes = Buffer.concat([this.#bytes, more])
    for (let sector = sectorsBefore; sector < this.#bytes.length / sectorSizeBytes; sector++)
      this.#versions.push([{ write: 0, bytes: Buffer.from(this.#sector(sector)) }])
  }

  /** Its volume covers it from now on. */
  growVolume(): void {
    this.volumeBytes = this.#bytes.length
  }

  /** The agent replicates `bytes` of it from now on. */
  #follow(bytes: number): void {
    const { bytes: bytesBefore } = this.#followed
    if (bytes !== bytesBefore) this.#followed = { bytes, bytesBefore, untilMs: this.#nowMs() }
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
    const kind = random()
    if (kind < 0.15) await this.#write(first, this.#anotherTime(first, count))
    else await this.#write(first, kind < 0.4 ? Buffer.alloc(length) : distinctSectors(random, length))
  }

  /** What sectors hold, or held before they were written last: programs write the same once more, and what was there before it. */
  #anotherTime(first: number, count: number): Buffer {
    const back = randomInt(this.#random, 1, 2)
    const sectors = this.#versions.slice(first, first + count)
    return Buffer.concat(
      sectors.map((versions) => (versions.at(-back) ?? versions[0])?.bytes ?? Buffer.alloc(0)),
    )
  }

  /** For one life of the agent. */
  open(): BlockSource {
    const life = this.#life
    let sizeBytes = this.bytes.length
    return {
      deviceName: this.deviceName,
      identity: { stableId: this.deviceName },
      get sizeBytes() {
        return sizeBytes
      },
      read: async (offsetBytes, lengthBytes, into) => {
        this.readsSinceReset += 1
        if (lengthBytes < 1 || offsetBytes + lengthBytes > sizeBytes)
          throw new RangeError(`${lengthBytes} bytes at ${offsetBytes} are not of a disk of ${sizeBytes}`)
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
      growTo: (bytes) => {
        sizeBytes = Math.max(sizeBytes, bytes)
        this.#follow(bytes)
      },
      close: () => Promise.resolve(),
    }
  }

  /**
   * For one life of the agent.
   * @param lossChance of one event.
   * @param volumeBytes of the volume as that life knows it.
   */
  tracker(lossChance: () => number, generation: number, volumeBytes: number): Tracker {
    const life = this.#life
    this.#follow(volumeBytes)
    return new SimTracker({
      listeners: this.#listeners,
      volumeBytes,
      sizeBytes: this.#random() < 0.5 ? volumeBytes : this.bytes.length,
      random: this.#random,
      lossChance,
      memory: this.memory,
      generation,
      isKilled: () => life !== this.#life,
    })
  }

  /** The agent is killed: its reads end, its tracker is gone. */
  kill(): void {
    this.#life++
    this.leave()
  }

  /** The agent ends: its tracker is gone, and changes are noted without it. */
  leave(): void {
    this.#listeners.clear()
  }

  /**
   * Why `copy` can't be what this agent's copy holds if everything written before `coveredMs` is durable there; undefined when it can: each
   * sector must be the last version before that time or a later one. What the volume has grown by is not claimed before the agent has heard of it.
   */
  violation(copy: Buffer, coveredMs: number): string | undefined {
    const { bytes, bytesBefore, untilMs } = this.#followed
    const claimedBytes = coveredMs > untilMs ? bytes : bytesBefore
    for (const [sector, versions] of this.#versions.slice(0, claimedBytes / sectorSizeBytes).entries()) {
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
    const isLost = [...this.#listeners].map((listener) => listener(firstSector, count)).includes(true)
    if (isLost) this.memory.lose()
    else this.memory.changed(firstSector, count)
  }
}
