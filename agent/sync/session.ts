/**
 * What the agent does while it is connected to a replicator: ask the trackers, scan, sweep, reach consistency points; one turn after the other.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { HookSet } from '../consistency/hooks.ts'
import type { PointContext, PointRequest, PointTally } from '../consistency/point_context.ts'
import type { PointKeeper } from '../consistency/point_keeper.ts'
import type { FreezePlan } from '../consistency/freeze_plan.ts'
import type { LineLog } from '../log.ts'
import type { CommandRunner } from '../run_command.ts'
import type { Certainty } from './certainty.ts'
import type { DiskSet } from './disk_set.ts'
import type { DiskSync } from './disk_sync.ts'
import type { Progress } from './progress.ts'
import type { Reader } from './reader.ts'
import type { Scanner } from './scanner.ts'
import type { SendCounters } from './frame_queue.ts'
import type { Sender } from './sender.ts'
import type { Yielding } from './yielding.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { reachPoint } from '../consistency/consistency_point.ts'
import { Barriers } from '../consistency/barriers.ts'
import { Preparation } from '../consistency/preparation.ts'
import { ConsistencyError, newTally } from '../consistency/point_context.ts'
import { coverageOf } from './certainty.ts'
import { changedBytes } from './change_map.ts'
import { forEachAtOnce } from './scanner.ts'
import { sweep } from './sweep.ts'
import type { Verification } from './verification.ts'
import { Verifier } from './verifier.ts'

/**
 * Wait when there was little or nothing to do: the grain of lag. What changes meanwhile goes together, which costs the source less: reading,
 * frames, answers and flushes are paid for once.
 */
const idleMs = 100

/** More blocks than this in one turn are much to do. */
const fewBlocks = 64

/** Damaged places that a session tells of; of the others the log of the replication server has more. */
const maxDamageTold = 100

/** What outlives a session. */
export interface SessionContext {
  clock: Clock
  log: LineLog
  run: CommandRunner
  disks: DiskSet
  reader: Reader
  scanner: Scanner
  certainty: Certainty
  points: PointKeeper
  progress: Progress
  yielding: Yielding
  verification: Verification
  planFreeze(): Promise<FreezePlan | undefined>
  /** The operator's hooks. @throws HookRefusedError when they must not be run. */
  findHooks(): Promise<HookSet>
  note(level: 'INFO' | 'WARNING' | 'ERROR', message: string): void
  counters: SendCounters
  /** Something worth a heartbeat at once has happened. */
  onChange(): void
  /** A turn is over: figures and state may have changed. */
  onTurn(): void
}

/** One session. */
export class Session {
  readonly #context: SessionContext
  readonly #sender: Sender
  readonly #signal: AbortSignal
  readonly #verifier: Verifier
  readonly #preparation: Preparation
  readonly #barriers: Barriers
  /** Damage that was told of, by disk and extent: the replicator repeats what is not repaired yet. */
  readonly #damageTold = new Set<string>()

  constructor(context: SessionContext, sender: Sender, signal: AbortSignal) {
    this.#context = context
    this.#sender = sender
    this.#signal = signal
    this.#verifier = new Verifier({ ...context, drain: () => this.drain(true) })
    this.#preparation = new Preparation({ clock: context.clock, ask: () => sender.prepare() })
    this.#barriers = new Barriers(context, sender, signal)
  }

  /** Works until the session fails, which it throws, or is told to stop. */
  async run(): Promise<void> {
    await this.#barriers.repeat()
    while (!this.#signal.aborted) {
      const isCalm = await this.turn()
      this.#context.onTurn()
      if (isCalm) await this.#context.clock.sleep(idleMs, this.#signal)
    }
  }

  /** One turn; true when there was little or nothing to do. */
  async turn(): Promise<boolean> {
    const { clock, disks, certainty } = this.#context
    await disks.check()
    if (this.#sender.failure !== undefined) throw this.#sender.failure
    await this.#sender.adapt()
    const drainedAtMs = clock.monotonicMs()
    await this.drain(false)
    for (const disk of disks.all) disk.retryUnreadable(clock.monotonicMs())
    this.#markDamaged()
    const hasScanned = await this.#scanOn()
    const isScanning = disks.all.some((disk) => disk.scan !== undefined && disk.scan.purpose !== 'PASS')
    const isWhole = disks.stopped.length === 0
    const hasVerified = !isScanning && isWhole && (await this.#verifyOn())
    await this.#reachPoint(isScanning)
    // During the copy to an empty volume marks only gather: a block that changes ten times is sent once, at its end.
    const sweepable = disks.all.filter((disk) => disk.scan?.mode !== 'BLANK')
    const sent = await sweep(sweepable, this.#sender, this.#context.reader)
    // Asked after the sweep: a block that it could not read is not certain, nor is anything once a rescan was asked for meanwhile.
    const covered = isWhole ? coverageOf(disks.all, drainedAtMs) : undefined
    if (covered !== undefined) certainty.expect(covered, this.#sender.allAcknowledged())
    return sent <= fewBlocks && !hasScanned && !hasVerified
  }

  /**
   * Asks every tracker and marks what changed. False when events were lost: the disk is then compared from its begin. All are asked in the same
   * breath, so that those which share what the kernel tells read it once.
   */
  async drain(isStrict: boolean): Promise<boolean> {
    const certain = await Promise.all(this.#context.disks.all.map((disk) => this.#drainDisk(disk, isStrict)))
    return certain.every(Boolean)
  }

  /** Marks at once what the tracker has handed over: between the two nobody else knows of it. */
  async #drainDisk(disk: DiskSync, isStrict: boolean): Promise<boolean> {
    const drained = await disk.tracker.drain(isStrict)
    if (drained.lost) {
      this.#context.note(
        'WARNING',
        `Changes of ${disk.deviceName} were lost (${drained.reason}); the disk is compared with its copy`,
      )
      disk.loseCertainty(this.#context.clock.monotonicMs())
      return false
    }
    for (const change of drained.changed) disk.markChanged(change)
    this.#context.progress.changed(changedBytes(drained.changed))
    return true
  }

  /** Moves scans on by a region; begins passes that are due. */
  async #scanOn(): Promise<boolean> {
    const { disks, clock, scanner, yielding } = this.#context
    for (const disk of disks.all)
      if (disk.isPassDue(clock.monotonicMs())) disk.beginScan('COMPARE', 'PASS', clock.monotonicMs())
    // A pass is how changes are followed where no tracker sees them: it gives way to nobody.
    const chosen = nextScans(disks.all).filter(({ scan }) => scan?.purpose === 'PASS' || yielding.mayRead)
    const isWalking = chosen.some(({ scan }) => scan?.purpose !== 'PASS')
    const beginMs = clock.monotonicMs()
    await forEachAtOnce(chosen, chosen.length, async (disk) => {
      await scanner.step(disk, this.#sender)
      this.#finishScan(disk)
    })
    if (isWalking) yielding.hasRead(clock.monotonicMs() - beginMs)
    return chosen.length > 0
  }

  /** Moves the verification that is asked for on by a part. */
  async #verifyOn(): Promise<boolean> {
    const { disks, clock, verification, yielding } = this.#context
    const own = verification.next(disks.all, clock.monotonicMs())
    if (own === undefined || !yielding.mayRead) return false
    const beginMs = clock.monotonicMs()
    await this.#verifier.step(own, this.#sender)
    yielding.hasRead(clock.monotonicMs() - beginMs)
    if (verification.finish(disks.all, clock.monotonicMs())) this.#context.onChange()
    return true
  }

  /** Blocks that are damaged in the copy are outstanding. */
  #markDamaged(): void {
    for (const { diskIndex, firstBlock, blockCount } of this.#sender.takeDamaged()) {
      const disk = this.#context.disks.all.find((candidate) => candidate.diskIndex === diskIndex)
      if (disk === undefined) continue
      disk.dirty.mark(firstBlock, blockCount)
      const key = `${diskIndex}/${firstBlock}/${blockCount}`
      if (this.#damageTold.has(key) || this.#damageTold.size >= maxDamageTold) continue
      this.#damageTold.add(key)
      this.#context.note(
        'WARNING',
        `The copy of ${disk.deviceName} is damaged at byte ${firstBlock * blockSizeBytes} (${blockCount * blockSizeBytes} bytes): it is sent again`,
      )
    }
  }

  #finishScan(disk: DiskSync): boolean {
    const scan = disk.scan
    if (scan === undefined || scan.cursor < disk.blockCount) return false
    const { startedAtMs, endedAtMs, differences } = disk.finishScan(this.#context.clock.monotonicMs())
    if (scan.purpose === 'PASS') {
      this.#context.progress.changed(differences * blockSizeBytes)
      return true
    }
    // A disk of zeros has no first byte; its copy has begun all the same.
    this.#context.counters.firstByteAtMs ??= this.#context.clock.nowMs()
    const whole = scan.purpose === 'INITIAL' ? 'Initial sync' : 'Rescan'
    const what = scan.isPartial === true ? 'Copying what is new' : whole
    const found = scan.mode === 'COMPARE' ? `, ${differences} blocks differed` : ''
    const seconds = ((endedAtMs - startedAtMs) / 1000).toFixed(1)
    this.#context.note('INFO', `${what} of ${disk.deviceName} went through in ${seconds} s${found}`)
    return true
  }

  async #reachPoint(isScanning: boolean): Promise<void> {
    const { clock, points } = this.#context
    if (!isScanning) points.schedule()
    const request = points.pending
    if (request === undefined) return
    const tally = newTally()
    try {
      const [stopped] = this.#context.disks.stopped
      if (stopped !== undefined)
        throw new ConsistencyError(`${stopped.error.message}; without it no copy is whole`)
      if (isScanning) {
        if (clock.monotonicMs() < request.deadlineMs) return
        throw new ConsistencyError(
          'The disks are still being compared; a point can be reached once that is done',
        )
      }
      if (!this.#preparation.isReady(request)) return
      const barrier = await reachPoint(this.#pointContext(request, tally), request)
      points.sent(barrier, tally)
      await this.#barriers.send(barrier, request)
    } catch (error) {
      if (!(error instanceof ConsistencyError)) throw error
      points.finish(request.consistencyPointId, { failure: error.message, tally })
      this.#context.onChange()
      this.#context.log.warning(`Consistency point ${request.consistencyPointId} failed: ${error.message}`)
    }
  }

  #pointContext(request: PointRequest, tally: PointTally): PointContext {
    const { clock, log, run, reader, disks, planFreeze, findHooks, note } = this.#context
    return {
      disks: disks.all,
      sender: this.#sender,
      reader,
      clock,
      log,
      run,
      planFreeze,
      findHooks,
      tally,
      note,
      drain: () => this.drain(true),
      sweep: () => sweep(disks.all, this.#sender, reader),
      pass: (disk) => this.#wholePass(disk),
      isWanted: () =>
        !this.#signal.aborted &&
        this.#context.points.pending?.consistencyPointId === request.consistencyPointId,
    }
  }

  async #wholePass(disk: DiskSync): Promise<number> {
    disk.beginScan('COMPARE', 'PASS', this.#context.clock.monotonicMs())
    do {
      await this.#context.scanner.step(disk, this.#sender)
    } while (!this.#finishScan(disk))
    return disk.lastScan?.differences ?? 0
  }
}

/** The scans to move on: a first copy and a comparison go beside each other, so that neither waits for all of the other. */
function nextScans(disks: readonly DiskSync[]): DiskSync[] {
  const first = (purpose: string) => disks.find((disk) => disk.scan?.purpose === purpose)
  const urgent = [first('INITIAL'), first('RESCAN')].filter((disk) => disk !== undefined)
  if (urgent.length > 0) return urgent
  const pass = first('PASS')
  return pass === undefined ? [] : [pass]
}
