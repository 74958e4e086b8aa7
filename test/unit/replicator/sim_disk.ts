/**
 * A disk that can lose power: writes stay in a cache until they are flushed, and at a crash each sector of the cache is kept or lost on
 * its own, in any of the versions that it had. Writes take any time, finish in any order and may be short. It can also fail.
 * @module
 */
import type { DocumentStore } from '../../../replicator/checkpoint.ts'
import type { Disk } from '../../../replicator/disk.ts'
import { randomInt } from '../../fixtures/seed.ts'

/** What can go wrong, as chances per call. */
export interface Faults {
  writeError: number
  flushError: number
}

export class DiskFault extends Error {
  readonly code: string
  constructor(code: string) {
    super(`Simulated ${code}`)
    this.code = code
  }
}

interface CachedRun {
  /** Its first sector. */
  first: number
  /** Whole sectors, but for the last of the medium. */
  bytes: Buffer
}

const noFaults: Faults = { writeError: 0, flushError: 0 }

/** Nothing comes back from a machine without power. */
function never(): Promise<never> {
  return new Promise(() => {})
}

/** Some turns of the event loop's microtasks, so that calls overlap in any order. */
async function someTime(random: () => number, mostTurns = 6): Promise<void> {
  for (let turns = randomInt(random, 0, mostTurns); turns > 0; turns--) await Promise.resolve()
}

/** A document is a file, two flushes and a rename: often all that goes on beside it is over before it is there. */
const mostDocumentTurns = 120

/** The medium behind one file; survives crashes, unlike the disks opened on it. */
export class SimMedium {
  readonly #random: () => number
  readonly #sectorBytes: number
  readonly #cutBytes: number
  /** What is on the platter. */
  #durable: Buffer
  /** What reads see. */
  #view: Buffer
  /** Versions of runs of sectors that are in the cache, oldest first. */
  #cache: CachedRun[] = []
  /** Raised by a crash: disks opened before it are dead. */
  #epoch = 0
  #underWay = 0
  faults = noFaults
  /** A flush has failed and pages may have been forgotten. */
  hasForgotten = false

  /** @param cutBytes short writes end at multiples of it; operating systems cut at pages. */
  constructor(sizeBytes: number, sectorBytes: number, cutBytes: number, random: () => number) {
    this.#random = random
    this.#sectorBytes = sectorBytes
    this.#cutBytes = cutBytes
    this.#durable = Buffer.alloc(sizeBytes)
    this.#view = Buffer.alloc(sizeBytes)
  }

  get sizeBytes(): number {
    return this.#view.length
  }

  /** What reads see now. */
  get view(): Buffer {
    return this.#view
  }

  get isZero(): boolean {
    return this.#view.every((byte) => byte === 0)
  }

  /** Makes it longer with zeros, or empties it. Durable at once, as the file's own metadata are. */
  resize(sizeBytes: number, isFresh: boolean): void {
    const next = Buffer.alloc(sizeBytes)
    if (isFresh) this.#cache = []
    if (!isFresh) this.#view.copy(next)
    const durable = Buffer.alloc(sizeBytes)
    if (!isFresh) this.#durable.copy(durable)
    this.#view = next
    this.#durable = durable
  }

  /** Power is lost and comes back. */
  crash(): void {
    this.#epoch++
    this.#underWay = 0
    const versions = new Map<number, Buffer[]>()
    for (const { sector, bytes } of this.#cachedSectors()) {
      const list = versions.get(sector)
      if (list === undefined) versions.set(sector, [bytes])
      else list.push(bytes)
    }
    for (const [sector, list] of versions) {
      const chosen = randomInt(this.#random, -1, list.length - 1)
      list[chosen]?.copy(this.#durable, sector * this.#sectorBytes)
    }
    this.#cache = []
    this.#durable.copy(this.#view)
  }

  /** The process is killed; the operating system keeps its cache. */
  kill(): void {
    this.#epoch++
    this.#underWay = 0
  }

  /** Memory is short: what is clean may be read from the platter again. */
  evict(): void {
    const view = Buffer.from(this.#durable)
    for (const { first, bytes } of this.#cache) {
      const start = first * this.#sectorBytes
      this.#view.copy(view, start, start, start + bytes.length)
    }
    this.#view = view
  }

  open(): Disk {
    const epoch = this.#epoch
    const alive = async <T>(work: () => Promise<T>): Promise<T> => {
      if (epoch !== this.#epoch) return await never()
      this.#underWay++
      try {
        const result = await work()
        if (epoch !== this.#epoch) return await never()
        return result
      } finally {
        if (epoch === this.#epoch) this.#underWay--
      }
    }
    return {
      sizeBytes: this.sizeBytes,
      read: (into, offset) =>
        alive(async () => {
          await someTime(this.#random)
          return this.#view.copy(into, 0, offset, offset + into.length)
        }),
      write: (from, offset) =>
        alive(async () => {
          await someTime(this.#random)
          if (epoch !== this.#epoch) return await never()
          const isFailing = this.#random() < this.faults.writeError
          const isShort = isFailing || this.#random() < 0.05
          const cut = Math.ceil(randomInt(this.#random, 1, from.length) / this.#cutBytes) * this.#cutBytes
          const length = isShort ? Math.min(cut, from.length) : from.length
          this.#write(from.subarray(0, length), offset)
          await someTime(this.#random)
          if (isFailing) throw new DiskFault('ENOSPC')
          return length
        }),
      flush: () =>
        alive(async () => {
          const flushed = this.#cache.length
          await someTime(this.#random)
          if (epoch !== this.#epoch) await never()
          if (this.#random() < this.faults.flushError) {
            this.#forgetDirty()
            throw new DiskFault('EIO')
          }
          for (const { first, bytes } of this.#cache.splice(0, flushed))
            bytes.copy(this.#durable, first * this.#sectorBytes)
        }),
      check: () => Promise.resolve(),
      close: async () => {
        while (epoch === this.#epoch && this.#underWay > 0) await Promise.resolve()
      },
    }
  }

  #write(bytes: Uint8Array, offset: number): void {
    this.#view.set(bytes, offset)
    const first = Math.floor(offset / this.#sectorBytes)
    const end = Math.ceil((offset + bytes.length) / this.#sectorBytes)
    const run = this.#view.subarray(first * this.#sectorBytes, end * this.#sectorBytes)
    this.#cache.push({ first, bytes: Buffer.from(run) })
  }

  *#cachedSectors(): Generator<{ sector: number; bytes: Buffer }> {
    for (const { first, bytes } of this.#cache) {
      for (let at = 0; at < bytes.length; at += this.#sectorBytes)
        yield { sector: first + at / this.#sectorBytes, bytes: bytes.subarray(at, at + this.#sectorBytes) }
    }
  }

  /** After a failed flush, pages may count as clean although they never reached the platter. */
  #forgetDirty(): void {
    this.hasForgotten = true
    const kept = [...this.#cachedSectors()].filter(() => this.#random() < 0.5)
    this.#cache = kept.map(({ sector, bytes }) => ({ first: sector, bytes }))
  }
}

/** A checkpoint that survives crashes: the old or the new one is there, never a mixture. */
export class SimDocument<T> {
  readonly #random: () => number
  #current: T | undefined
  #next: { document: T } | undefined
  #epoch = 0
  /** How often a write was begun. */
  writes = 0

  /** What a read would give now. */
  get current(): T | undefined {
    return this.#current
  }

  constructor(random: () => number) {
    this.#random = random
  }

  /** The document as one life of the process sees it. */
  open(): DocumentStore<T> {
    const epoch = this.#epoch
    // Asked without a pause before what it guards, as a crash may come in any pause.
    const isDead = (): boolean => epoch !== this.#epoch
    return {
      read: async () => {
        await someTime(this.#random)
        if (isDead()) await never()
        return this.#current
      },
      write: async (document) => {
        if (isDead()) await never()
        this.writes++
        if (this.#next !== undefined) throw new Error('Two writes of a checkpoint at once')
        const next = { document: structuredClone(document) }
        this.#next = next
        await someTime(this.#random, this.#random() < 0.5 ? mostDocumentTurns : undefined)
        if (isDead()) await never()
        this.#current = next.document
        this.#next = undefined
        await someTime(this.#random)
        if (isDead()) await never()
      },
      remove: async () => {
        if (isDead()) await never()
        this.#current = undefined
      },
    }
  }

  crash(): void {
    this.#epoch++
    if (this.#next !== undefined && this.#random() < 0.5) this.#current = this.#next.document
    this.#next = undefined
  }
}
