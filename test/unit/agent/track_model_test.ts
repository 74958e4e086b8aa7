/**
 * Tracking across runs of the agent, against an oracle: seeded schedules of writes and discards, turns of replication, kills at any step (also between taking
 * events and writing them down), clean stops, rings that overflow, are read or removed by others, copies that are replaced. At the end the copy
 * equals the disk. `SCHEDULES=N` runs N schedules, `REHOST_LONG=1` runs 20,000; `SEED=…` begins with that one.
 */
import type * as Fs from 'node:fs'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { blockSizeBytes, sectorSizeBytes } from '../../../domain/units.ts'
import type { BlockSource } from '../../../agent/disk/block_source.ts'
import { DiskSync } from '../../../agent/sync/disk_sync.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { rememberTracking, resumeTracking } from '../../../agent/sync/track_keeper.ts'
import { TraceHub } from '../../../agent/tracking/trace_hub.ts'
import { TracefsTracker } from '../../../agent/tracking/tracefs_tracker.ts'
import { TrackFolder } from '../../../agent/tracking/track_folder.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'
import { closeFilesLeftOpen } from './open_files.ts'
import { Killed, SimKernel, SimProcess } from './sim_trace.ts'

const writer = vi.hoisted(() => ({ step: (): void => undefined }))

// A process can be killed before each of its effects on files.
vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof Fs>()
  const { noteOpenFiles } = await import('./open_files.ts')
  const killable = <A extends unknown[], R>(call: (...args: A) => R) => {
    return (...args: A): R => {
      writer.step()
      return call(...args)
    }
  }
  return {
    ...real,
    ...noteOpenFiles(real),
    writeSync: killable(real.writeSync as (...args: Parameters<typeof real.writeSync>) => number),
    rmSync: killable(real.rmSync),
    writeFileSync: killable(real.writeFileSync),
    ftruncateSync: killable(real.ftruncateSync),
    mkdirSync: killable(real.mkdirSync as (path: string) => string | undefined),
  }
})

const schedules = Number(process.env['SCHEDULES'] ?? (process.env['REHOST_LONG'] === '1' ? 20_000 : 40))
const blockCount = 33_800
const sizeBytes = blockCount * blockSizeBytes - 512
const sectorsPerBlock = blockSizeBytes / sectorSizeBytes
const device = { major: 8, minor: 0, mergesDiscards: true }
const scanBlocks = 4096

/** Where writes go: the edges of pages and words of the files, and of the disk. */
const hotBlocks = [0, 1, 31, 32, 33, 4095, 4096, 20_000, 32_767, 32_768, 33_798, 33_799]

/** Zero on the source from begin to end: only comparing finds that the copy holds something else. */
const coldBlock = 10_001

interface Blocks {
  block: number
  count: number
}

interface Write {
  /** Several of a discard: the kernel makes one request of those that are no neighbours. */
  parts: [Blocks, ...Blocks[]]
  value: number
  isDiscard: boolean
  hasLanded: boolean
}

/** The copy at the other end. */
class Copy {
  readonly content = new Uint32Array(blockCount)
  readonly copyId: string
  isWritten = false

  constructor(copyId: string) {
    this.copyId = copyId
  }
}

/** One run of the agent, with as much of replication as tracking has to do with. */
class Run {
  readonly process = new SimProcess()
  readonly disk: DiskSync
  readonly #world: World
  readonly #hub: TraceHub
  #onTheWay: { block: number; value: number }[] = []

  constructor(world: World) {
    this.#world = world
    world.generation += 1
    const hub = new TraceHub(world.clock, {
      folder: new TrackFolder({
        path: world.folder,
        instanceName: 'rehost-test',
        bootId: 'boot-1',
        generation: world.generation,
        newRingId: () => `ring-${world.next()}`,
      }),
      kernel: world.kernel.as(this.process),
    })
    this.#hub = hub
    const disk = { diskId: 'disk-1', volumeId: 'vol-1', sizeBytes }
    const room = new PieceRoom()
    const tracker = new TracefsTracker({ hub, device, sizeBytes, reason: 'test', room, disk })
    const source = { deviceName: '/dev/test', sizeBytes } as BlockSource
    this.disk = new DiskSync({ diskIndex: 0, volumeId: 'vol-1', sizeBytes, source, tracker })
  }

  async start(): Promise<void> {
    const { copy, epoch, stats } = this.#world
    await this.disk.tracker.start()
    const contents = copy.isWritten ? 'PARTIAL' : 'EMPTY'
    const now = { contents, copyId: copy.copyId, rescanEpoch: epoch, nowMs: 0 } as const
    stats.runs += 1
    if (resumeTracking(this.disk, now, () => undefined)) {
      stats.resumed += 1
      return
    }
    this.disk.copyId = copy.copyId
    this.disk.learnContents(contents, false, 0)
  }

  /** One turn; the world goes on between any two steps of it. */
  async turn(): Promise<void> {
    const { disk } = this
    // Counters are looked at from time to time.
    this.#world.clock.now += this.#world.random(0, 30)
    const drained = await disk.tracker.drain(true)
    if (drained.lost) disk.loseCertainty(0)
    else for (const change of drained.changed) disk.markChanged(change)
    this.#scanOn()
    if (disk.scan?.mode !== 'BLANK') {
      for (const { firstBlock, blockCount: count } of [...disk.dirty.touchedBlocks()]) {
        if (this.#world.random(0, 4) === 0) continue
        this.process.step()
        disk.dirty.clear(firstBlock, count)
        this.#world.goOn()
        for (let block = firstBlock; block < firstBlock + count; block++) this.#send(block)
        this.acknowledge(this.#world.random(0, 3))
      }
    }
    // As the hub's timer does: what is read now is asked for in the next turn.
    this.#world.goOn()
    if (this.#world.isRough && this.#world.random(0, 25) === 0) this.#world.kernel.steal()
    this.#world.clock.now += this.#world.random(0, 30)
    if (this.#world.random(0, 1) === 0) await this.#hub.pump(this.#world.random(0, 1) === 0)
    if (this.#world.random(0, 1) === 0) this.remember()
  }

  /** What the hub does by itself from time to time. */
  look(): Promise<void> {
    this.#world.clock.now += 2000
    return this.#hub.pump(true)
  }

  remember(): void {
    const onTheWay = this.#onTheWay.map(({ block }) => ({ diskIndex: 0, firstBlock: block, blockCount: 1 }))
    rememberTracking([this.disk], onTheWay, this.#world.epoch)
  }

  #scanOn(): void {
    const { scan } = this.disk
    if (scan === undefined) return
    const first = scan.cursor
    const end = Math.min(blockCount, first + scanBlocks)
    const isBlank = scan.mode === 'BLANK' && first >= scan.attemptedEnd
    if (scan.mode === 'BLANK') this.disk.attempt(scan, end)
    // What the other end has once it has dealt with what is on the way.
    const there = new Map(this.#onTheWay.map(({ block, value }) => [block, value]))
    for (let block = first; block < end; block++) {
      if (block % 32 === 0 && scan.mode === 'BLANK') this.disk.dirty.clear(block, 32)
      if (block % 1024 === 0) this.#world.goOn()
      const value = this.#world.content[block] ?? 0
      if (scan.mode === 'COMPARE') {
        const other = (there.size > 0 ? there.get(block) : undefined) ?? this.#world.copy.content[block]
        if (value !== other) this.disk.dirty.mark(block, 1)
        continue
      }
      if (value === 0 && isBlank) continue
      this.process.step()
      this.#send(block)
      if (this.#onTheWay.length > 6) this.acknowledge(4)
    }
    scan.cursor = end
    this.#world.stats.scannedBlocks += end - first
    if (end === blockCount) this.disk.finishScan(0)
  }

  #send(block: number): void {
    this.#onTheWay.push({ block, value: this.#world.content[block] ?? 0 })
    this.#world.stats.sentBlocks += 1
  }

  /** The first so many become durable, and the agent hears of it. */
  acknowledge(count: number): void {
    if (this.#apply(count) > 0) this.disk.hasDurableBlocks = true
  }

  #apply(count: number): number {
    const applied = this.#onTheWay.splice(0, count)
    const { copy } = this.#world
    for (const { block, value } of applied) {
      copy.isWritten = true
      copy.content[block] = value
    }
    return applied.length
  }

  /** The connection breaks: some of what was on the way has arrived. */
  disconnect(): void {
    this.#takeBack()
  }

  #takeBack(): void {
    const sent = this.#onTheWay.map(({ block }) => block)
    this.#apply(this.#world.random(0, this.#onTheWay.length))
    this.#onTheWay = []
    for (const block of sent) this.disk.dirty.mark(block, 1)
  }

  async stop(): Promise<void> {
    this.acknowledge(this.#onTheWay.length)
    this.remember()
    await this.#hub.leave()
  }

  /** Nothing is outstanding any more. */
  get isDone(): boolean {
    return this.disk.scan === undefined && this.disk.dirty.count === 0 && this.#onTheWay.length === 0
  }

  /** Killed: the other end still takes in some of what was on the way. */
  die(): void {
    this.process.isDead = true
    this.#apply(this.#world.random(0, this.#onTheWay.length))
  }
}

class World {
  readonly content = new Uint32Array(blockCount)
  readonly kernel = new SimKernel(60)
  readonly clock = new FakeClock()
  readonly folder: string
  readonly stats = { runs: 0, resumed: 0, scannedBlocks: 0, sentBlocks: 0 }
  readonly #random: () => number
  readonly #writes: Write[] = []
  copy = new Copy('copy-0')
  generation = 0
  epoch = 0
  run: Run | undefined
  #count = 0
  /** Others take events away while the agent runs. */
  isRough = false
  #isQuiet = false

  constructor(seed: number, folder: string) {
    this.#random = seededRandom(seed)
    this.folder = folder
    writer.step = () => this.run?.process.step()
    for (const block of hotBlocks) if (this.random(0, 2) === 0) this.content[block] = this.next()
  }

  next(): number {
    this.#count += 1
    return this.#count
  }

  random(low: number, high: number): number {
    return randomInt(this.#random, low, high)
  }

  /** The source goes on: writes begin, land, complete, each at its own time. */
  goOn(): void {
    if (this.#isQuiet) return
    const choice = this.random(0, 5)
    if (choice === 0) {
      const isDiscard = this.random(0, 4) === 0
      const parts: Write['parts'] = [this.#somewhere()]
      for (let more = isDiscard ? this.random(0, 3) : 0; more > 0; more--) parts.push(this.#somewhere())
      // Zeros too: what was something must not stay so at the other end.
      const value = isDiscard || this.random(0, 3) === 0 ? 0 : this.next()
      this.#writes.push({ parts, value, isDiscard, hasLanded: false })
      for (const part of isDiscard ? parts : [])
        this.kernel.happened({ discard: 'queued', device, ...sectorsOf(part) })
    }
    const write = this.#writes[this.random(0, Math.max(0, this.#writes.length - 1))]
    if (write === undefined || choice > 3) return
    if (write.hasLanded) this.#complete(write)
    else this.#land(write)
  }

  /** Half of them anywhere: what is lost of those no later write makes good. */
  #somewhere(): Blocks {
    const anywhere = this.random(0, 1) === 0 ? this.random(coldBlock + 1, blockCount - 1) : undefined
    const block = anywhere ?? hotBlocks[this.random(0, hotBlocks.length - 1)] ?? 0
    return { block, count: Math.min(this.random(1, 3), blockCount - block) }
  }

  #land(write: Write): void {
    for (const { block, count } of write.parts) this.content.fill(write.value, block, block + count)
    write.hasLanded = true
  }

  #complete(write: Write): void {
    this.#writes.splice(this.#writes.indexOf(write), 1)
    const { block, count } = write.parts[0]
    if (write.isDiscard) {
      // Where the first begins, and how long all are together.
      const sum = write.parts.reduce((all, part) => all + part.count, 0)
      this.kernel.happened({ discard: 'completed', device, ...sectorsOf({ block, count: sum }) })
      return
    }
    const first = this.random(0, 3)
    // Of a single block often only a piece.
    const isSmall = count === 1 && this.random(0, 1) === 0
    this.kernel.happened({
      device,
      firstSector: block * sectorsPerBlock + first,
      sectorCount: isSmall ? 4 : count * sectorsPerBlock - 4,
    })
  }

  settle(): void {
    for (const write of [...this.#writes]) {
      if (!write.hasLanded) this.#land(write)
      this.#complete(write)
    }
  }

  /** Runs what the agent does; a kill ends the run. Answers whether it lives. */
  async alive(work: (run: Run) => Promise<void> | void): Promise<boolean> {
    const { run } = this
    if (run === undefined) return false
    try {
      await work(run)
    } catch (error) {
      if (!(error instanceof Killed)) throw error
    }
    if (!run.process.isDead) return true
    run.die()
    this.run = undefined
    return false
  }

  async start(): Promise<void> {
    this.run = new Run(this)
    if (this.random(0, 3) === 0) this.run.process.stepsLeft = this.random(0, 60)
    const { resumed } = this.stats
    await this.alive((run) => run.start())
    // A rescan would make good what it missed: often it is looked at before anything can ask for one.
    if (this.stats.resumed > resumed && this.random(0, 1) === 0) await this.finish()
  }

  /** Somebody meddles while no agent runs. */
  meddle(): void {
    const choice = this.random(0, 12)
    if (choice === 0) this.kernel.steal()
    else if (choice === 1) this.kernel.remove(this.random(0, 1) === 0)
    else if (choice === 2) this.kernel.switchOff()
    else if (choice === 3) this.copy = new Copy(`copy-${this.next()}`)
    else if (choice === 4) for (let writes = 0; writes < 30; writes++) this.goOn()
    else if (choice === 5) {
      const { content } = this.copy
      this.copy = new Copy(`copy-${this.next()}`)
      this.copy.content.set(content)
      this.copy.content[coldBlock] = 4_000_000_000
      this.copy.isWritten = true
    } else if (choice === 6) {
      // A clone of the machine ran meanwhile, and wrote what its own disk holds.
      this.generation += 1
      this.copy.content[coldBlock] = 3_000_000_000
      this.copy.isWritten = true
    }
  }

  async operate(): Promise<void> {
    this.isRough = true
    for (let steps = this.random(0, 8); steps > 0; steps--) this.goOn()
    if (this.run === undefined) {
      this.meddle()
      await this.start()
      return
    }
    const choice = this.random(0, 19)
    if (choice === 0) this.run.process.stepsLeft = this.random(0, 40)
    if (choice === 1) {
      await this.alive((run) => run.stop())
      this.run = undefined
    } else if (choice === 2) {
      this.run.die()
      this.run = undefined
    } else if (choice === 3) {
      // The copy was damaged behind everybody's back, which is what rescans are asked for.
      this.copy.content[coldBlock] = 2_000_000_000
      this.copy.isWritten = true
      this.epoch += 1
      this.run.disk.loseCertainty(0)
    } else if (choice === 4) this.run.disconnect()
    else if (choice === 5) this.kernel.steal()
    else await this.alive((run) => run.turn())
  }

  /** Lets everything come to its end; the copy is the disk then. */
  async finish(): Promise<void> {
    this.#isQuiet = true
    this.isRough = false
    this.settle()
    for (let turns = 0; turns < 500; turns++) {
      this.clock.now += 1000
      if (this.run === undefined) {
        this.run = new Run(this)
        await this.alive((run) => run.start())
      }
      this.run.process.stepsLeft = Number.POSITIVE_INFINITY
      await this.alive((run) => run.turn())
      this.run?.acknowledge(1000)
      if (this.run?.isDone ?? false) break
    }
    expect(this.run?.isDone).toBe(true)
    expect(differing(this.content, this.copy.content)).toEqual([])
    await this.alive((run) => run.stop())
    this.run = undefined
    this.#isQuiet = false
    closeFilesLeftOpen()
  }
}

function sectorsOf({ block, count }: Blocks): { firstSector: number; sectorCount: number } {
  return { firstSector: block * sectorsPerBlock, sectorCount: count * sectorsPerBlock }
}

function differing(left: Uint32Array, right: Uint32Array): number[] {
  if (Buffer.from(left.buffer).equals(Buffer.from(right.buffer))) return []
  return [...left.keys()].filter((block) => left[block] !== right[block]).slice(0, 10)
}

describe('tracking across runs of the agent', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-track-'))
    vi.useFakeTimers({ toFake: ['setInterval'] })
  })
  afterAll(() => {
    vi.useRealTimers()
    writer.step = () => undefined
    rmSync(folder, { recursive: true, force: true })
  })

  it(
    'ends with the copy equal to the disk, whatever happens',
    async () => {
      const seed = seedFor('tracking across runs')
      const sum = { runs: 0, resumed: 0 }
      for (let schedule = 0; schedule < schedules; schedule++) {
        const own = (seed + schedule) >>> 0
        const world = new World(own, join(folder, `${schedule}`))
        try {
          for (let step = 0; step < 60; step++) await world.operate()
          await world.finish()
        } catch (error) {
          throw new Error(`Failed with SEED=${own} SCHEDULES=1`, { cause: error })
        }
        sum.runs += world.stats.runs
        sum.resumed += world.stats.resumed
      }
      console.log(`${sum.runs} runs, ${sum.resumed} went on where the one before was`)
      if (schedules >= 40) expect(sum.resumed).toBeGreaterThan(sum.runs / 10)
    },
    // A tenth of that is usual: a machine with much else to do must not fail it.
    60_000 + schedules * 2000,
  )

  it('reads nothing again after a clean stop, and sends what changed meanwhile', async () => {
    const world = new World(seedFor('clean stop'), join(folder, 'clean'))
    await world.finish()
    const { scannedBlocks, sentBlocks } = world.stats
    world.content[31] = 77
    world.kernel.happened({ device, firstSector: 31 * sectorsPerBlock, sectorCount: 1 })
    await world.finish()
    expect(world.stats).toMatchObject({ scannedBlocks, sentBlocks: sentBlocks + 1, runs: 2, resumed: 1 })
  })

  it('misses no change whichever step of reading it and writing it down is the last of a run', async () => {
    let isKilled = true
    for (let steps = 0; isKilled; steps++) {
      const world = new World(steps, join(folder, `killed-${steps}`))
      await world.finish()
      const run = new Run(world)
      world.run = run
      await run.start()
      await run.turn()
      world.content[coldBlock] = 5
      world.kernel.happened({ device, firstSector: coldBlock * sectorsPerBlock, sectorCount: 1 })
      run.process.stepsLeft = steps
      isKilled = !(await world.alive(() => run.look()))
      await world.finish()
      expect(world.stats.resumed).toBeGreaterThan(0)
    }
  })

  it('compares with another copy that stands where the former was', async () => {
    const world = new World(seedFor('other copy'), join(folder, 'other'))
    world.content[coldBlock] = 9
    await world.finish()
    const { content } = world.copy
    world.copy = new Copy('copy-other')
    world.copy.content.set(content)
    world.copy.content[coldBlock] = 8
    world.copy.isWritten = true
    await world.finish()
    expect(world.stats).toMatchObject({ runs: 2, resumed: 0 })
  })

  it('keeps a loss that was found after the trackers were asked, also when what is outstanding is written down before they are again', async () => {
    const world = new World(seedFor('loss between'), join(folder, 'between'))
    await world.finish()
    const run = new Run(world)
    await run.start()
    await run.turn()
    run.remember()
    world.content[coldBlock] = 5
    world.kernel.happened({ device, firstSector: coldBlock * sectorsPerBlock, sectorCount: 1 })
    world.kernel.steal()
    await run.look()
    run.remember()
    run.die()
    await world.finish()
  })

  it('goes on in the middle of a first copy and of a rescan', async () => {
    const world = new World(seedFor('middle'), join(folder, 'middle'))
    for (const isRescan of [false, true]) {
      const before = world.stats.scannedBlocks
      world.run = new Run(world)
      await world.run.start()
      if (isRescan) world.run.disk.loseCertainty(0)
      for (let turn = 0; turn < 4; turn++) await world.run.turn()
      // A run that ends while discards are under way leaves its disk in doubt.
      world.settle()
      await world.run.look()
      await world.run.stop()
      world.run = undefined
      await world.finish()
      expect(world.stats.scannedBlocks - before).toBe(blockCount)
    }
  })
})
