/**
 * Tracking across reboots, against an oracle: seeded schedules of writes, runs of the agent, kills, clean reboots, crashes, shutdowns that are cut off
 * while they are noted, kernels without the parameters or with words of an earlier one, kernels started by kernels or by another boot loader, other
 * systems started in between, clones, disks that are replaced, and rings that overflow, are read or emptied by others. Whenever a run goes on without a comparison, each block that differs from its copy is marked.
 * `SCHEDULES=N` runs N schedules, `REHOST_LONG=1` runs 5,000; `SEED=…` begins with that one.
 */
import type * as Fs from 'node:fs'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { BootFacts } from '../../../agent/reboot/boot_loader.ts'
import type { PresentDisk } from '../../../agent/reboot/present_disks.ts'
import type { SealPlan } from '../../../agent/reboot/seal_plan.ts'
import type { TraceHandler } from '../../../agent/tracking/trace_parser.ts'
import { RebootKeeper } from '../../../agent/reboot/reboot_keeper.ts'
import { seal } from '../../../agent/reboot/sealer.ts'
import { decodeSeal, encodeSeal, sealFileBytes, sealPageBytes } from '../../../agent/reboot/sealed_record.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { Subscriptions } from '../../../agent/tracking/subscriptions.ts'
import { TraceHub } from '../../../agent/tracking/trace_hub.ts'
import { TracefsTracker } from '../../../agent/tracking/tracefs_tracker.ts'
import { leftAtShutdown, TrackFolder } from '../../../agent/tracking/track_folder.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { FakeClock } from './fake_clock.ts'
import { closeFilesLeftOpen } from './open_files.ts'
import { Killed, SimKernel, SimProcess } from './sim_trace.ts'

vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof Fs>()
  const { noteOpenFiles } = await import('./open_files.ts')
  return { ...real, ...noteOpenFiles(real) }
})

const schedules = Number(process.env['SCHEDULES'] ?? (process.env['REHOST_LONG'] === '1' ? 5000 : 8))
const blockCount = 600
const sectorsPerBlock = 128
const sizeBytes = blockCount * 65_536
const device = { major: 8, minor: 0 }
const bootRoom = 60

/** Where the firmware's partition and the record's file lie. */
const firmwareBlock = 50
const sealBlock = 100
const sealBlocks = sealFileBytes / 65_536

const traceWord = 'trace_event=block:block_rq_complete'

/** The kernel's own ring, filled since it was started. */
class SimBootBuffer {
  events: { firstSector: number; sectorCount: number }[] = []
  isOn: boolean
  isFaulty = false
  /** What the kernel counts of the disk. */
  sectors = 0
  constructor(isOn: boolean) {
    this.isOn = isOn
  }

  completed(firstSector: number, sectorCount: number): void {
    this.sectors += sectorCount
    if (!this.isOn) return
    this.events.push({ firstSector, sectorCount })
    if (this.events.length <= bootRoom) return
    this.events.shift()
    this.isFaulty = true
  }

  read(handler: TraceHandler): string | undefined {
    if (!this.isOn || this.isFaulty) return 'the ring is not whole'
    this.isOn = false
    const traced = this.events.reduce((sum, { sectorCount }) => sum + sectorCount, 0)
    for (const { firstSector, sectorCount } of this.events) handler.changed(8, 0, firstSector, sectorCount)
    return traced < this.sectors ? 'sectors are missing' : undefined
  }
}

/** What the kernel knows of its start, and the boot loader does not. */
type KernelFacts = Omit<BootFacts, 'tokenLeft' | 'tokenGiven'>

/** What of the machine ends with a boot. */
class Boot {
  readonly id: string
  readonly kernel = new SimKernel(80)
  readonly buffer: SimBootBuffer
  readonly facts: KernelFacts
  plan: SealPlan | undefined
  constructor(id: string, facts: KernelFacts) {
    this.id = id
    this.facts = facts
    this.buffer = new SimBootBuffer(facts.commandLine.includes(traceWord))
  }
}

class Run {
  readonly process = new SimProcess()
  readonly hub: TraceHub
  readonly keeper: RebootKeeper
  readonly tracker: TracefsTracker
  readonly outstanding = new Set<number>()
  readonly #world: World

  constructor(world: World) {
    this.#world = world
    world.generation += 1
    const { generation, boot } = world
    this.keeper = new RebootKeeper({
      bootId: boot.id,
      generation,
      seal: {
        read: () => Promise.resolve(decodeSeal(world.sealed)),
        prepare: () => {
          this.process.step()
          const nonce = world.next().toString(16).padStart(32, '0')
          world.writeSeal(encodeSeal(nonce, undefined))
          return Promise.resolve({
            nonce,
            device: '8:0',
            parts: [{ fileByte: 0, deviceByte: 0, bytes: 4096 }],
          })
        },
      },
      loader: {
        facts: () => Promise.resolve({ ...boot.facts, tokenLeft: world.token, tokenGiven: world.given }),
        arm: (token) => {
          this.process.step()
          world.token = token
          // Its tools write the file anew, somewhere else.
          world.loaderBlock = world.random(10, 40)
          world.write(world.loaderBlock, 1)
          return Promise.resolve()
        },
      },
      buffer: {
        read: (_devices, handler) => {
          this.process.step()
          return Promise.resolve(boot.buffer.read(handler))
        },
        release: () => {
          boot.buffer.isOn = false
          return Promise.resolve()
        },
      },
      disks: () => Promise.resolve([world.disk]),
      newToken: () => `token-${world.next()}`.padEnd(20, '.'),
      plan: (plan) => {
        this.process.step()
        boot.plan = plan
        world.goOn()
      },
      warn: () => undefined,
    })
    this.hub = new TraceHub(world.clock, {
      folder: new TrackFolder({
        path: world.folder,
        instanceName: 'rehost-test',
        bootId: boot.id,
        generation,
        newRingId: () => `ring-${world.next()}`,
      }),
      boot: this.keeper,
      kernel: boot.kernel.as(this.process),
    })
    const disk = { diskId: world.disk.diskId ?? '', volumeId: 'vol-1', sizeBytes }
    this.tracker = new TracefsTracker({
      hub: this.hub,
      device,
      sizeBytes,
      reason: 'test',
      room: new PieceRoom(),
      disk,
    })
  }

  async start(): Promise<void> {
    const world = this.#world
    await this.hub.resume()
    world.goOn()
    await this.keeper.begin()
    await this.keeper.release()
    world.goOn()
    await this.tracker.start()
    const inherited = this.tracker.memory?.inherited
    if (inherited === undefined || typeof inherited === 'string' || inherited.state.copyId !== world.copyId) {
      world.refusals.add(typeof inherited === 'string' ? inherited : 'copy')
      this.#compareLater()
      return
    }
    for (const { firstBlock, blockCount: count } of inherited.marks)
      for (let block = firstBlock; block < firstBlock + count; block++) this.outstanding.add(block)
    if (world.isFirstOfBoot) world.carried += 1
  }

  #compareLater(): void {
    for (let block = 0; block < blockCount; block++) this.outstanding.add(block)
  }

  /** Asks the tracker; then each block that differs is outstanding. */
  async turn(): Promise<void> {
    const world = this.#world
    world.clock.now += 2000
    const drained = await this.tracker.drain(true)
    if (drained.lost) this.#compareLater()
    else
      for (const { firstBlock, blockCount: count } of drained.changed)
        for (let block = firstBlock; block < firstBlock + count; block++) this.outstanding.add(block)
    for (let block = 0; block < blockCount; block++)
      if (world.content[block] !== world.copy[block] && !this.outstanding.has(block))
        throw new Error(`Block ${block} differs from the copy and nobody knows`)
    // Cleared before it is read, as everywhere.
    for (const block of [...this.outstanding]) {
      if (world.random(0, 5) === 0) continue
      this.outstanding.delete(block)
      world.copy[block] = world.content[block] ?? 0
    }
    const state = { copyId: world.copyId, rescanEpoch: 0, isInitialSyncDone: true, hasDurableBlocks: true }
    const outstanding = [...this.outstanding].sort((a, b) => a - b)
    this.tracker.memory?.save(
      state,
      outstanding.map((firstBlock) => ({ firstBlock, blockCount: 1 })),
    )
  }
}

class World {
  readonly content = new Uint32Array(blockCount)
  readonly copy = new Uint32Array(blockCount)
  readonly clock = new FakeClock()
  readonly folder: string
  readonly refusals = new Set<string>()
  sealed = encodeSeal('0'.repeat(32), undefined)
  token: string | undefined
  /** What the boot loader handed to the last kernel it started. */
  given = ''
  /** Where its file lies. */
  loaderBlock = 10
  /** Words of a kernel that whoever installed another one has kept for that one. */
  keptWords: string | undefined
  disk: PresentDisk
  boot: Boot
  generation = 0
  copyId = 'copy-0'
  run: Run | undefined
  isFirstOfBoot = true
  /** What the boot loader writes never arrives, and it does not know. */
  readonly isLyingLoader: boolean
  /** It cannot write, and knows. */
  readonly isReadOnlyLoader: boolean
  carried = 0
  reboots = 0
  readonly #random: () => number
  #count = 0

  constructor(seed: number, folder: string) {
    this.#random = seededRandom(seed)
    this.folder = folder
    this.isLyingLoader = this.random(0, 7) === 0
    this.isReadOnlyLoader = this.random(0, 7) === 0
    this.disk = {
      kernelName: 'sda',
      device,
      sizeBytes,
      lastingId: 'disk one',
      diskId: '1 one',
      firmwareParts: [{ firstSector: firmwareBlock * sectorsPerBlock, sectorCount: 2 * sectorsPerBlock }],
    }
    this.boot = new Boot('boot-0', { commandLine: traceWord, loaderType: 0x72, isCrashKernel: false })
  }

  next(): number {
    this.#count += 1
    return this.#count
  }

  random(low: number, high: number): number {
    return randomInt(this.#random, low, high)
  }

  /** A write that the kernel sees. */
  write(block: number, count: number): void {
    for (let at = block; at < block + count; at++) this.content[at] = this.next()
    const event = { firstSector: block * sectorsPerBlock, sectorCount: count * sectorsPerBlock }
    this.boot.kernel.happened({ device, ...event })
    this.boot.buffer.completed(event.firstSector, event.sectorCount)
  }

  writeSeal(pages: Buffer): void {
    this.sealed = Buffer.from(pages)
    this.write(sealBlock, sealBlocks)
  }

  goOn(): void {
    while (this.random(0, 2) > 0) this.write(this.random(150, blockCount - 3), this.random(1, 3))
  }

  async alive(work: (run: Run) => Promise<void>): Promise<void> {
    const { run } = this
    if (run === undefined) return
    try {
      await work(run)
    } catch (error) {
      if (!(error instanceof Killed)) throw error
    }
    if (run.process.isDead) this.run = undefined
  }

  async start(): Promise<void> {
    this.run = new Run(this)
    if (this.random(0, 5) === 0) this.run.process.stepsLeft = this.random(0, 8)
    await this.alive((run) => run.start())
    this.isFirstOfBoot = false
  }

  async stop(): Promise<void> {
    if (this.random(0, 3) > 0) await this.alive((run) => run.hub.leave())
    this.run = undefined
  }

  /** The machine goes down in order: agents end, file systems end, the shutdown is sealed. */
  async shutDown(): Promise<void> {
    await this.stop()
    this.goOn()
    const { plan, kernel, id } = this.boot
    if (plan === undefined || this.random(0, 15) === 0) return
    const cutAt = this.random(0, 6) === 0 ? this.random(0, 4) : 99
    let writes = 0
    let isDisturbed = false
    try {
      const left = leftAtShutdown(this.folder)
      if (plan.bootId !== id || left.ring.bootId !== id) throw new Error('another boot')
      const subscriptions = new Subscriptions(
        () => this.clock.monotonicMs(),
        (work) => work(),
      )
      subscriptions.restore(left.files, left.ring.devices)
      const process = new SimProcess()
      const { devices } = left.ring
      const trace = await kernel.as(process).adopt(devices, subscriptions, { name: 'rehost-test' }, left.ring)
      await seal({
        plan,
        loaderFile: {
          lastingId: this.disk.lastingId ?? '',
          firstSector: this.loaderBlock * sectorsPerBlock,
          sectorCount: 8,
        },
        generation: left.generation,
        trace,
        subscriptions,
        files: left.files,
        disks: [this.disk],
        write: (pages) => {
          process.step()
          if (decodeNonce(this.sealed) !== plan.places.nonce) throw new Error('not ours any more')
          writes += 1
          if (writes > cutAt) {
            // The power goes while it is written. Once somebody writes who was seen not to be there, this takes back what was sealed: then the
            // first page arrives. Whether it does, nobody could know.
            const end = this.random(isDisturbed ? 1 : 0, 256) * sealPageBytes
            const torn = Buffer.concat([pages.subarray(0, end), this.sealed.subarray(end)])
            this.writeSeal(torn)
            process.isDead = true
            throw new Killed()
          }
          this.writeSeal(pages)
          // Somebody writes who should not; but for the time after it was seen that nobody does.
          if (this.random(0, 12) === 0) {
            isDisturbed = true
            this.write(this.random(150, blockCount - 3), 1)
          }
          return Promise.resolve()
        },
        spoil: () => Promise.reject(new Error('it cannot be written')),
      })
    } catch (error) {
      if (!(error instanceof Error)) throw error
      this.refusals.add(error.message)
    }
  }

  /** Another kernel starts. One that was loaded by a kernel is not started after a shutdown that was sealed. */
  startKernel(mayBeKexec: boolean): void {
    rmSync(this.folder, { recursive: true, force: true })
    this.run = undefined
    this.isFirstOfBoot = true
    this.reboots += 1
    const before = this.boot.facts
    const isKexec = mayBeKexec && this.random(0, 5) === 0
    const word = this.random(0, 12) === 0 ? '' : traceWord
    // Programs that install kernels take the words of the one that runs.
    const kept = this.random(0, 9)
    if (kept === 0) this.keptWords = before.commandLine
    else if (kept < 5) this.keptWords = undefined
    let facts: KernelFacts = { commandLine: `ro ${word}`, loaderType: 0x72, isCrashKernel: false }
    if (isKexec) facts = { ...before, loaderType: 0xd0 }
    // Else another boot loader has started it, after GRUB had handed the token on: before that nobody could know.
    else if (this.token !== undefined || this.random(0, 7) > 0) facts = this.#passLoader(word)
    // Kernels that a crash has started have the words of the one before, too.
    if (isKexec && this.random(0, 1) === 0) Object.assign(facts, { loaderType: 0x72, isCrashKernel: true })
    this.boot = new Boot(`boot-${this.next()}`, facts)
    this.disk = { ...this.disk, diskId: `${this.next()} one` }
    // Firmware has been at its partition.
    if (this.random(0, 1) === 0) this.content[firmwareBlock + 1] = this.next()
    // Initial RAM disk, journals, and all that starts before the agent.
    this.goOn()
    for (let writes = this.random(0, 20) === 0 ? 100 : 0; writes > 0; writes--)
      this.write(this.random(150, 500), 1)
    const meddling = this.random(0, 30)
    if (meddling === 0) this.boot.buffer.events = []
    else if (meddling === 1) this.boot.buffer.isFaulty = true
    this.goOn()
  }

  /** GRUB hands the token on and forgets it, past every kernel. */
  #passLoader(word: string): KernelFacts {
    const { token, given, keptWords } = this
    let words = `ro ${word}`
    if (!this.isReadOnlyLoader && (token !== undefined || given !== '')) {
      if (token !== undefined) words += ` rehost.boot=${token}`
      if (!this.isLyingLoader) {
        this.given = token ?? ''
        this.token = undefined
        this.content[this.loaderBlock] = this.next()
      }
    }
    return { commandLine: keptWords ?? words, loaderType: 0x72, isCrashKernel: false }
  }

  /** Between two kernels that run the agent. */
  betweenBoots(wasSealed: boolean): void {
    const choice = this.random(0, 24)
    if (choice === 0) {
      // Another system, or this one for rescue: no agent of ours sees what it writes.
      this.#passLoader('')
      this.content[this.random(150, blockCount - 1)] = this.next()
    } else if (choice === 1) {
      // This very system, whose agent never came up, and which crashed.
      this.startKernel(!wasSealed)
      if (this.random(0, 1) === 0) this.keptWords = this.boot.facts.commandLine
      this.goOn()
    } else if (choice === 2) {
      this.disk = { ...this.disk, lastingId: `disk ${this.next()}` }
      this.content.fill(this.next(), 150, 160)
    } else if (choice === 3) {
      this.generation += 1
      this.copy[this.random(150, blockCount - 1)] = 4_000_000_000
    } else if (choice === 4) {
      this.copyId = `copy-${this.next()}`
      this.copy.fill(0)
    }
  }

  async operate(): Promise<void> {
    const choice = this.random(0, 11)
    this.goOn()
    if (choice < 2) {
      // Crash or clean, as it comes.
      const isClean = this.random(0, 5) > 0
      if (isClean) await this.shutDown()
      const { id } = this.boot
      this.betweenBoots(isClean)
      this.startKernel(!isClean || this.boot.id !== id)
    } else if (this.run === undefined) await this.start()
    else if (choice === 2) await this.stop()
    else if (choice === 3) this.run = undefined
    else if (choice === 4 && this.random(0, 3) === 0) this.boot.kernel.steal()
    else await this.alive((run) => run.turn())
  }

  /** Everything is quiet, and all that is outstanding is sent. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 60; turns++) {
      if (this.run === undefined) await this.start()
      if (this.run !== undefined) this.run.process.stepsLeft = Number.POSITIVE_INFINITY
      await this.alive((run) => run.turn())
      if (this.run?.outstanding.size === 0) break
    }
    expect(this.run?.outstanding.size).toBe(0)
    expect([...this.content.keys()].filter((block) => this.content[block] !== this.copy[block])).toEqual([])
    closeFilesLeftOpen()
  }
}

function decodeNonce(sealed: Buffer): string {
  return sealed.subarray(16, 32).toString('hex')
}

describe('tracking across reboots', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-reboot-'))
    vi.useFakeTimers({ toFake: ['setInterval'] })
  })
  afterAll(() => {
    vi.useRealTimers()
    rmSync(folder, { recursive: true, force: true })
  })

  it(
    'never goes on without knowing of a block that differs',
    async () => {
      const seed = seedFor('tracking across reboots')
      let carried = 0
      let reboots = 0
      const refusals = new Set<string>()
      for (let schedule = 0; schedule < schedules; schedule++) {
        const own = (seed + schedule) >>> 0
        const world = new World(own, join(folder, `${schedule}`))
        try {
          for (let step = 0; step < 120; step++) await world.operate()
          await world.settle()
        } catch (error) {
          throw new Error(`Failed with SEED=${own} SCHEDULES=1`, { cause: error })
        }
        carried += world.carried
        reboots += world.reboots
        for (const refusal of world.refusals) refusals.add(refusal.replaceAll(/\d+/g, 'N'))
      }
      console.log(`${reboots} reboots, tracking was carried through ${carried}; ${[...refusals].join(' | ')}`)
      // An eighth of them, but for chance: in a third of the schedules GRUB cannot write, or there is no luck. One in eighty runs of 8 has less.
      if (schedules >= 40) expect(carried).toBeGreaterThan(reboots / 25)
    },
    // A tenth of that is usual: a machine with much else to do must not fail it.
    60_000 + schedules * 3000,
  )
})
