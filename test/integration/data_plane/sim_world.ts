/**
 * Agent, link and replicator as one simulated world: everything that happens in it comes from one seed, and an oracle knows at any moment
 * what the copy may hold.
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect } from 'vitest'
import { blockCountOf, blockSizeBytes, sectorSizeBytes } from '../../../domain/units.ts'
import { randomInt, seededRandom } from '../../fixtures/seed.ts'
import type { Disk } from '../../../replicator/disk.ts'
import { FakeClock } from '../../unit/agent/fake_clock.ts'
import { SimVolume } from '../../unit/replicator/sim_volume.ts'
import { rootOf } from '../replicator/test_agent.ts'
import { SimAgent } from './sim_agent.ts'
import type { SimMachine } from './sim_agent.ts'
import type { LinkFaults } from './sim_link.ts'
import { SimReplicator } from './sim_replicator.ts'
import { distinctSectors, SimSource } from './sim_source.ts'
import { anyConnections } from '../../fixtures/connection_plans.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

/** How long a schedule may take to come to its end; only one that hangs takes so long. Less than a test may take, so that it says why. */
const hangMs = 45_000

/** A link on which nothing goes wrong. */
export const goodLink: LinkFaults = { cutAfterBytes: Infinity, pieceBytes: 65_536 }

/** What a test fixes about a world; the seed decides the rest. */
export interface SimWorldOptions {
  /** Sizes of the source disks, bytes. */
  diskBytes?: readonly number[]
  isAllTracked?: boolean
  connectionCount?: number
}

/** A disk's size: often not a whole number of blocks, sometimes less than one. */
export function anyDiskBytes(random: () => number): number {
  const blocks = random() < 0.1 ? 0 : randomInt(random, 1, 24)
  const rest = random() < 0.3 ? 0 : sectorSizeBytes * randomInt(random, 1, 127)
  return Math.max(sectorSizeBytes, blocks * blockSizeBytes + rest)
}

/** Zeros, random bytes and repeated ones, block by block. */
export function anyContents(random: () => number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += blockSizeBytes) {
    const end = Math.min(length, at + blockSizeBytes)
    const kind = random()
    if (kind < 0.3) continue
    if (kind < 0.5) bytes.fill(randomInt(random, 1, 255), at, end)
    else distinctSectors(random, end - at).copy(bytes, at)
  }
  return bytes
}

/** Some flushes take long enough for an answer that does not wait for them to arrive before the power is lost. */
function slowToFlush(disk: Disk, random: () => number): Disk {
  return withCalls(disk, {
    flush: async () => {
      if (random() < 0.3) for (let left = randomInt(random, 1, 60); left > 0; left--) await nextTurn()
      await disk.flush()
    },
  })
}

/** See the module. */
export class SimWorld {
  readonly random: () => number
  readonly clock = new FakeClock()
  readonly sources: readonly SimSource[]
  readonly replicator: SimReplicator
  lossChance = 0
  /** For connections to come. */
  nextLink: () => LinkFaults = () => goodLink
  agent: SimAgent
  /** What its agents run on. */
  readonly machine: SimMachine
  #generation = 1
  #points = 0
  readonly #writers: Promise<void>[] = []
  #areWriting = false

  constructor(seed: number, options: SimWorldOptions = {}) {
    const random = seededRandom(seed)
    this.random = random
    const own = (): (() => number) => seededRandom(randomInt(random, 0, 0x7fff_ffff))
    const sizes =
      options.diskBytes ?? Array.from({ length: randomInt(random, 1, 3) }, () => anyDiskBytes(random))
    const nowMs = (): number => this.clock.monotonicMs()
    this.sources = sizes.map(
      (size, index) =>
        new SimSource({
          deviceName: `/dev/disk${index}`,
          bytes: anyContents(random, size),
          random: own(),
          nowMs,
        }),
    )
    const volumes = sizes.map((size) => {
      const sectorBytes = random() < 0.5 ? 512 : 4096
      // Also what the disk can grow by.
      const spare = random() < 0.5 ? 0 : 4096 * randomInt(random, 1, 80)
      const sizeBytes = Math.ceil(size / sectorBytes) * sectorBytes + spare
      return new SimVolume({ sizeBytes, sectorBytes, cutBytes: 512, random: own() })
    })
    this.replicator = new SimReplicator(volumes, own())
    const flushing = own()
    this.replicator.wrap = (parts) => ({ ...parts, data: slowToFlush(parts.data, flushing) })
    this.machine = {
      clock: this.clock,
      sources: this.sources,
      untracked: new Set(options.isAllTracked || random() < 0.8 ? [] : [0]),
      random: own(),
      lossChance: () => this.lossChance,
      far: { replicator: this.replicator, linkFaults: () => this.nextLink() },
      connectionPlan: anyConnections(own(), options.connectionCount),
      complete: new Set(),
      rescanEpoch: 0,
    }
    this.agent = new SimAgent(this.machine, this.#generation)
  }

  /** Lets others work for some turns, and time go by: what the agent does once a second it also does in the midst of sending. */
  async turns(most: number): Promise<void> {
    for (let left = randomInt(this.random, 0, most); left > 0; left--) {
      if (this.random() < 0.2) this.clock.now += randomInt(this.random, 1, 500)
      await nextTurn()
    }
  }

  /** Waits until `look` says so. @throws Error with what agent and replicator said last, when that does not happen. */
  async until(what: string, look: () => boolean): Promise<void> {
    const begin = performance.now()
    while (!look()) {
      if (performance.now() - begin > hangMs) {
        const { disks: _, ...report } = this.agent.engine.report()
        throw new Error(
          [
            `Waited in vain until ${what}`,
            JSON.stringify(report),
            ...this.agent.logLines.slice(-8),
            ...this.replicator.logLines.slice(-8),
          ].join('\n'),
        )
      }
      await nextTurn()
    }
  }

  /** Writers begin, one or more for each disk. */
  startWriters(): void {
    this.#areWriting = true
    for (const source of this.sources)
      for (let count = randomInt(this.random, 0, 2); count > 0; count--)
        this.#writers.push(this.#write(source))
  }

  /** Writers end; resolves when their last write is over. */
  async stopWriters(): Promise<void> {
    this.#areWriting = false
    await Promise.all(this.#writers.splice(0))
  }

  /**
   * The agent is killed, or stopped in order, and another run of it starts.
   * @param lossChance that the machine is started anew meanwhile, or that more changes than can be noted.
   */
  async restartAgent(isKilled: boolean, lossChance = 0.2): Promise<void> {
    await (isKilled ? this.agent.kill() : this.agent.stop())
    this.#requireSound()
    await this.turns(20)
    if (this.random() < lossChance) {
      const isRebooted = this.random() < 0.5
      for (const { memory } of this.sources) {
        if (isRebooted) memory.forget()
        else memory.lose()
      }
    }
    this.#generation += 1
    this.agent = new SimAgent(this.machine, this.#generation)
  }

  /** The replicator is killed. When the power is lost, the copy must hold whatever the agent claimed until then. */
  async restartReplicator(isPowerLost: boolean): Promise<void> {
    const claimedMs = this.#claimedMs()
    this.replicator.kill(isPowerLost)
    if (claimedMs !== undefined) this.#requireClaim(claimedMs)
    await this.turns(30)
    await this.replicator.start()
  }

  /** A disk grows, as far as its volume has room, and the gateway does not know yet. */
  growDisk(): void {
    const index = randomInt(this.random, 0, this.sources.length - 1)
    const source = this.sources[index]
    const roomBytes = (this.replicator.volumes[index]?.data.sizeBytes ?? 0) - (source?.bytes.length ?? 0)
    if (roomBytes < sectorSizeBytes) return
    const sectors = randomInt(this.random, 1, Math.floor(roomBytes / sectorSizeBytes))
    source?.grow(anyContents(this.random, sectors * sectorSizeBytes))
  }

  /** The volumes of all disks that have grown cover them, and the gateway says so: to the run there is, or to the next one. */
  async growVolumes(): Promise<void> {
    for (const source of this.sources) source.growVolume()
    if (this.random() < 0.3) await this.restartAgent(this.random() < 0.5)
    this.agent.applySizes()
  }

  /** Asks for a consistency point while nobody writes, and checks what is held. */
  async reachPoint(): Promise<void> {
    const isWriting = this.#areWriting
    await this.stopWriters()
    const id = `cp-${++this.#points}`
    await this.replicator.setPoint({ consistencyPointId: id, state: 'REQUESTED' })
    this.agent.applyPoint(id)
    const reached = () => this.replicator.announced.find((point) => point.consistencyPointId === id)
    await this.until(`${id} is reached or given up`, () => {
      const { consistencyFailure } = this.agent.engine.report()
      return consistencyFailure?.consistencyPointId === id || reached() !== undefined
    })
    const point = reached()
    const images = this.sources.map(({ bytes }) => Buffer.from(bytes))
    if (isWriting) this.startWriters()
    await this.turns(30)
    if (point !== undefined) {
      if (this.random() < 0.3) await this.restartReplicator(this.random() < 0.5)
      for (const [index, image] of images.entries()) {
        this.#requireEqual(index, image, `the point ${id}`)
        expect(point.roots[index]?.root, `the root of disk ${index} at ${id}`).toBe(rootOf(image))
      }
    }
    this.agent.applyPoint(undefined)
    await this.replicator.setPoint({
      consistencyPointId: id,
      state: point === undefined ? 'EXPIRED' : 'TAKEN',
    })
  }

  /** Nothing goes wrong any more and nobody writes: waits until everything is durable, then compares every byte. */
  async converge(): Promise<void> {
    await this.stopWriters()
    this.lossChance = 0
    this.nextLink = () => goodLink
    for (const source of this.sources) source.growVolume()
    this.agent.applySizes()
    this.agent.apply({ mode: 'REPLICATE' })
    // What it claims before it has heard of larger volumes says nothing of what they have grown by.
    await this.until('the disks are replicated to their ends', () => {
      const { disks } = this.agent.engine.report()
      return this.sources.every(({ bytes }, index) => disks[index]?.sizeBytes === bytes.length)
    })
    const since = this.clock.nowMs()
    await this.until('everything is durable', () => {
      const { lastConsistentAtMs } = this.agent.engine.report()
      return lastConsistentAtMs !== undefined && lastConsistentAtMs > since
    })
    for (const [index, { bytes }] of this.sources.entries()) this.#requireEqual(index, bytes, 'the end')
  }

  /** Converges, loses the power once more, and lets a point say that index and data agree. */
  async finish(): Promise<void> {
    await this.converge()
    this.replicator.kill(true)
    for (const [index, { bytes }] of this.sources.entries())
      this.#requireEqual(index, bytes, 'the last power cut')
    await this.replicator.start()
    const before = this.replicator.announced.length
    await this.reachPoint()
    expect(this.replicator.announced.length, 'the last point is reached').toBeGreaterThan(before)
    await this.end()
  }

  /** Ends whatever runs. */
  async end(): Promise<void> {
    await this.stopWriters()
    await this.agent.kill()
    this.#requireSound()
    if (this.replicator.isRunning) this.replicator.kill(false)
  }

  /** Whatever happens, the agent asks no disk for what it does not have, and sends nothing that cannot be sent. */
  #requireSound(): void {
    const own = this.agent.logLines.filter((line) =>
      /are not of a disk of|Cannot accept \d+ bytes as/.test(line),
    )
    expect(own, 'what ended sessions of the agent').toEqual([])
  }

  /** Monotonic time up to which the agent says that everything is durable. */
  #claimedMs(): number | undefined {
    const { lagMs } = this.agent.engine.report()
    return lagMs === null ? undefined : this.clock.monotonicMs() - lagMs
  }

  #requireClaim(claimedMs: number): void {
    for (const [index, source] of this.sources.entries()) {
      const copy = this.replicator.volumes[index]?.data.view ?? Buffer.alloc(0)
      const violation = source.violation(copy, claimedMs)
      if (violation !== undefined) expect.fail(`What was claimed is lost: ${violation}`)
    }
  }

  #requireEqual(index: number, image: Buffer, when: string): void {
    const copy = this.replicator.volumes[index]?.data.view ?? Buffer.alloc(0)
    for (let block = 0; block < blockCountOf(image.length); block++) {
      const start = block * blockSizeBytes
      const end = Math.min(image.length, start + blockSizeBytes)
      if (image.subarray(start, end).equals(copy.subarray(start, end))) continue
      expect.fail(`Block ${block} of disk ${index} differs at ${when}`)
    }
    const behind = copy.subarray(image.length)
    expect(behind.equals(Buffer.alloc(behind.length)), 'nothing behind the disk is written').toBe(true)
  }

  async #write(source: SimSource): Promise<void> {
    while (this.#areWriting) {
      await source.writeSomewhere()
      await this.turns(6)
    }
  }
}
