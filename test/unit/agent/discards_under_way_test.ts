/**
 * Discards of several ranges against an oracle: a simulated disk takes bios, makes requests of them as Linux does, splits and fails some, and tells
 * of it in the rings of several processors, which are read one after the other while it goes on. Whoever copies clears, then reads. Whenever nothing
 * is left to copy, the copy is what the disk was when it was last looked at. `SCHEDULES=N` runs N
 * schedules, `REHOST_LONG=1` runs 100,000; `SEED=…` begins with that one.
 */
import { describe, expect, it } from 'vitest'
import { DiscardsUnderWay, patienceMs, unknownDiscards } from '../../../agent/tracking/discards_under_way.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'

const schedules = Number(process.env['SCHEDULES'] ?? (process.env['REHOST_LONG'] === '1' ? 100_000 : 1000))
const longestMs = 5000 + schedules * 20
const sectorCount = 48
const processors = 3

interface Range {
  first: number
  count: number
}

interface Bio extends Range {
  /** Not ended yet, of it and what was split off it. */
  left: number
}

interface Request {
  parts: (Range & { bio: Bio })[]
  hasLanded: boolean
}

type Event =
  ({ kind: 'queued' } & Range) | ({ kind: 'completed' } & Range) | { kind: 'failed'; count: number }

class Machine {
  readonly #random: () => number
  /** What the disk holds: when it was written last, 0 since it was discarded. */
  readonly disk: number[] = Array.from({ length: sectorCount }, (_, sector) => sector + 1)
  readonly copy = [...this.disk]
  readonly #dirty = new Set<number>()
  readonly #rings: Event[][] = Array.from({ length: processors }, () => [])
  readonly #waiting: Request[] = []
  /** What is queued now is told. */
  #isTraced = true
  nowMs = 0
  readonly doubts: string[] = []
  readonly #discards: DiscardsUnderWay
  /** Sectors of discards that have ended since the last pump, and that nothing discards again now. */
  #ended = new Set<number>()
  #count = sectorCount
  #isQuiet = false
  /** A bio may fail without a word, as chained ones do before Linux 5.12. */
  readonly canBeSilent: boolean

  constructor(seed: number, canBeSilent = false) {
    this.#random = seededRandom(seed)
    this.canBeSilent = canBeSilent
    this.#discards = new DiscardsUnderWay(
      {
        changed: (first, count) => this.#mark(first, count),
        doubt: (reason) => {
          this.doubts.push(reason)
          this.#mark(0, sectorCount)
        },
      },
      () => this.nowMs,
    )
  }

  random(low: number, high: number): number {
    return randomInt(this.#random, low, high)
  }

  #mark(first: number, count: number): void {
    const end = Math.min(sectorCount, first + count)
    for (let sector = first; sector < end; sector++) this.#dirty.add(sector)
  }

  #tell(event: Event): void {
    if (this.#isTraced) this.#rings[this.random(0, processors - 1)]?.push(event)
  }

  /** One step of the machine: bios are queued, requests land, end. */
  goOn(): void {
    if (this.#isQuiet) return
    this.nowMs += 1
    const choice = this.random(0, 9)
    if (choice < 3) this.#queue()
    else if (choice < 4) this.#write()
    else {
      const index = this.random(0, Math.max(0, this.#waiting.length - 1))
      const request = this.#waiting[index]
      if (request === undefined) return
      if (!request.hasLanded) this.#land(request)
      else this.#complete(index, request)
    }
  }

  /** Written and told at once: ordinary writes are not what this is about. */
  #write(): void {
    const sector = this.random(0, sectorCount - 1)
    if (
      this.#waiting.some(({ parts }) =>
        parts.some(({ first, count }) => sector >= first && sector < first + count),
      )
    )
      return
    this.#count += 1
    this.disk[sector] = this.#count
    this.#dirty.add(sector)
  }

  #queue(): void {
    const first = this.random(0, sectorCount - 2)
    const count = this.random(1, Math.min(12, sectorCount - first))
    const bio = { first, count, left: count }
    this.#tell({ kind: 'queued', first, count })
    if (this.random(0, 11) === 0) {
      if (!this.canBeSilent || this.random(0, 1) === 0) this.#tell({ kind: 'failed', count })
      return
    }
    // Large ones are split; each piece joins a request that waits, or is one of its own.
    for (let at = first; at < first + count; at += 6) {
      const part = { first: at, count: Math.min(6, first + count - at), bio }
      const open = this.#waiting.filter(({ hasLanded }) => !hasLanded)
      const other = open[this.random(0, Math.max(0, open.length - 1))]
      if (other !== undefined && this.random(0, 3) > 0) other.parts.push(part)
      else this.#waiting.push({ parts: [part], hasLanded: false })
    }
  }

  #land(request: Request): void {
    for (const { first, count } of request.parts) {
      this.disk.fill(0, first, first + count)
      for (let sector = first; sector < first + count; sector++) this.#ended.delete(sector)
    }
    request.hasLanded = true
  }

  #complete(index: number, { parts }: Request): void {
    this.#waiting.splice(index, 1)
    const sum = parts.reduce((all, { count }) => all + count, 0)
    for (const { first, count } of parts)
      for (let sector = first; sector < first + count; sector++) this.#ended.add(sector)
    this.#tell({ kind: 'completed', first: parts[0]?.first ?? 0, count: sum })
  }

  /** Reads all rings, one after the other, while the machine goes on. */
  look(): void {
    for (const ring of this.#rings) {
      for (let event = ring.shift(); event !== undefined; event = ring.shift()) {
        this.#read(event)
        if (this.random(0, 3) === 0) this.goOn()
        if (this.random(0, 3) === 0) this.#discards.markEnded()
      }
      for (let steps = this.random(0, 2); steps > 0; steps--) this.goOn()
    }
    this.#discards.markEnded()
  }

  #read(event: Event): void {
    if (event.kind === 'queued') this.#discards.queued(event.first, event.count)
    else {
      if (event.kind === 'completed') this.#mark(event.first, event.count)
      this.#discards.ended(event.count)
    }
  }

  /** As the hub does before anybody relies on the marks. */
  pump(): void {
    const before = [...this.#ended]
    this.#ended.clear()
    const values = before.map((sector) => this.disk[sector])
    this.look()
    const lookEnded = this.#discards.beginLook()
    if (lookEnded !== undefined) {
      this.look()
      lookEnded()
    }
    // What had ended when it began is either to be copied, or copied as it is, unless it is known to be unknown.
    if (!this.#isCertain) return
    for (const [index, sector] of before.entries()) {
      const isAsItWas = this.disk[sector] === values[index]
      if (isAsItWas && this.copy[sector] !== this.disk[sector] && !this.#dirty.has(sector))
        expect.fail(`sector ${sector} was discarded and is not marked`)
    }
  }

  #isCertain = true

  /** Copies some of what is marked. */
  send(most = 5): void {
    for (const sector of [...this.#dirty].slice(0, most)) {
      this.#dirty.delete(sector)
      if (this.random(0, 2) === 0) this.goOn()
      this.copy[sector] = this.disk[sector] ?? 0
    }
  }

  /** Events are lost, or the trace begins anew: everything is compared. What is queued now ends unknown. */
  lose(): void {
    for (const ring of this.#rings) ring.length = 0
    this.#isCertain = false
    this.#discards.forget()
    this.#mark(0, sectorCount)
  }

  /** Something queues discards without a word, as what hands bios on under a new address does. */
  queueUntold(): void {
    this.#isTraced = false
    this.#isCertain = false
    this.#queue()
    this.#isTraced = true
  }

  finish(): void {
    for (const request of [...this.#waiting]) {
      if (!request.hasLanded) this.#land(request)
      this.#complete(this.#waiting.indexOf(request), request)
    }
    this.#isQuiet = true
    this.pump()
    this.send(sectorCount)
    this.nowMs += patienceMs + 1
    this.pump()
    this.send(sectorCount)
    expect(this.copy).toEqual(this.disk)
    expect(this.#discards.isSettled).toBe(true)
  }

  get isSettled(): boolean {
    return this.#discards.isSettled
  }
}

function runAll(name: string, work: (machine: Machine) => void, canBeSilent = false): void {
  const seed = seedFor(name)
  for (let schedule = 0; schedule < schedules; schedule++) {
    const own = (seed + schedule) >>> 0
    const machine = new Machine(own, canBeSilent)
    try {
      for (let turn = 0; turn < 30; turn++) {
        for (let steps = machine.random(0, 6); steps > 0; steps--) machine.goOn()
        machine.pump()
        machine.send()
        work(machine)
      }
      machine.finish()
    } catch (error) {
      throw new Error(`Failed with SEED=${own} SCHEDULES=1`, { cause: error })
    }
  }
}

describe('DiscardsUnderWay', () => {
  it(
    'misses no range, is never in doubt without cause, and comes to rest',
    () => {
      let settled = 0
      runAll('discards', (machine) => {
        if (machine.isSettled) settled += 1
        if (machine.doubts.length > 0) expect.fail(machine.doubts.join())
      })
      expect(settled).toBeGreaterThan(schedules)
    },
    longestMs,
  )

  it(
    'is in doubt where something was queued without a word',
    () => {
      let doubts = 0
      runAll('untold discards', (machine) => {
        if (machine.random(0, 15) === 0) machine.queueUntold()
        if (machine.random(0, 30) === 0) machine.lose()
        doubts += machine.doubts.length
      })
      expect(doubts).toBeGreaterThan(0)
    },
    longestMs,
  )

  it(
    'misses none either where some fail without a word',
    () => {
      runAll('silent discards', () => undefined, true)
    },
    longestMs,
  )
})

/** What it tells, and its clock. */
function make(): { told: string[]; discards: DiscardsUnderWay; clock: { nowMs: number } } {
  const told: string[] = []
  const clock = { nowMs: 0 }
  const listener = {
    changed: (first: number, count: number) => void told.push(`${first}+${count}`),
    doubt: (reason: string) => void told.push(reason),
  }
  return { told, discards: new DiscardsUnderWay(listener, () => clock.nowMs), clock }
}

describe('what DiscardsUnderWay tells', () => {
  it('marks a range when it is queued, and again when anything has ended', () => {
    const { told, discards } = make()
    discards.queued(100, 8)
    discards.queued(5000, 16)
    discards.markEnded()
    expect(told).toEqual(['100+8', '5000+16'])
    discards.ended(24)
    discards.markEnded()
    discards.markEnded()
    expect(told.slice(2)).toEqual(['100+8', '5000+16'])
    expect(discards.isSettled).toBe(false)
    discards.beginLook()?.()
    expect(discards.isSettled).toBe(true)
    expect(discards.beginLook()).toBeUndefined()
  })

  it('believes no sums that anything was added to meanwhile', () => {
    const { discards } = make()
    discards.queued(100, 8)
    // Of another discard, whose beginning is in a ring that was read before.
    discards.ended(8)
    const lookEnded = discards.beginLook()
    discards.queued(900, 8)
    lookEnded?.()
    expect(discards.isSettled).toBe(false)
    expect(discards.beginLook()).toBeUndefined()
  })

  it('waits for what does not end, and is in doubt when it ends after all', () => {
    const { told, discards, clock } = make()
    discards.queued(100, 8)
    clock.nowMs = patienceMs
    expect(discards.beginLook()).toBeUndefined()
    expect(discards.isSettled).toBe(false)
    clock.nowMs += 1
    discards.beginLook()
    expect(discards.isSettled).toBe(true)
    expect(told).toEqual(['100+8', '100+8'])
    discards.ended(8)
    discards.beginLook()?.()
    expect(told.slice(2)).toEqual([unknownDiscards])
    expect(discards.isSettled).toBe(true)
  })

  it('holds any number in little memory, and covers them all', () => {
    const { told, discards } = make()
    const random = seededRandom(seedFor('many discards'))
    const firsts = Array.from({ length: 40_000 }, () => randomInt(random, 0, 2 ** 33))
    for (const first of firsts) discards.queued(first, 8)
    told.length = 0
    discards.ended(8)
    discards.markEnded()
    expect(told.length).toBeLessThanOrEqual(16_384)
    const ranges = told.map((text) => text.split('+').map(Number))
    ranges.sort(([left = 0], [right = 0]) => left - right)
    let next = 0
    let coveredEnd = 0
    for (const first of [...firsts].sort((left, right) => left - right)) {
      for (; next < ranges.length && (ranges[next]?.[0] ?? 0) <= first; next++)
        coveredEnd = Math.max(coveredEnd, (ranges[next]?.[0] ?? 0) + (ranges[next]?.[1] ?? 0))
      if (coveredEnd < first + 8) expect.fail(`nothing covers ${first}`)
    }
  })
})
