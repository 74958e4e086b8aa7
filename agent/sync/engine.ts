/**
 * Replication as a whole: makes what the gateway wants true, keeps a session with the replicator, and says how it stands. No session's end loses
 * what is known of the disks.
 * @module
 */
import type { DataReplicationError } from '../../domain/replication.ts'
import type { AgentDesired } from '../../wire/control_api.ts'
import type { EngineContext } from './engine_context.ts'
import type { Note } from './note_box.ts'
import type { EngineReport } from './replication_report.ts'
import type { SendCounters } from './frame_queue.ts'
import type { VisitContext } from './visit.ts'
import { errorMessage } from '../../domain/errors.ts'
import { PointKeeper } from '../consistency/point_keeper.ts'
import { AlignedPool } from '../disk/aligned_pool.ts'
import { DiskGoneError } from '../disk/block_source.ts'
import { Pause } from '../pause.ts'
import { Certainty } from './certainty.ts'
import { DiskSet } from './disk_set.ts'
import { FaultKeeper, steadyAfterMs } from './fault_keeper.ts'
import { faultOf } from './faults.ts'
import { Meter } from './meter.ts'
import { NoteBox } from './note_box.ts'
import { Progress } from './progress.ts'
import { Reader } from './reader.ts'
import { reportDisk } from './replication_report.ts'
import { Scanner } from './scanner.ts'
import { StateKeeper } from './state_keeper.ts'
import { rememberComplete } from './sync_memory.ts'
import { rememberTracking } from './track_keeper.ts'
import { Throttle } from './throttle.ts'
import { Verification } from './verification.ts'
import { Visit } from './visit.ts'
import { Yielding } from './yielding.ts'

/** Extents in memory for reading and sending: two for each of five connections, and two more for comparing beside them. */
const poolSlots = 12

/** What a later run may go on from is written down this often. */
const rememberIntervalMs = 1000

/** What of the gateway's wishes ends a session when it changes. */
function sessionKey({ mode, replicator, disks }: AgentDesired): string {
  return JSON.stringify({ mode, replicator, disks })
}

/** The engine. One per run of the agent. */
export class Engine {
  readonly #context: EngineContext
  readonly #disks: DiskSet
  readonly #throttle: Throttle
  readonly #meter: Meter
  readonly #progress: Progress
  readonly #yielding: Yielding
  readonly #certainty: Certainty
  readonly #points: PointKeeper
  readonly #verification = new Verification()
  readonly #notes: NoteBox
  readonly #counters: SendCounters = { sentBytes: 0 }
  readonly #faults = new FaultKeeper()
  readonly #visitContext: VisitContext
  #desired: AgentDesired | undefined
  #rescanEpoch: number | undefined
  /** Aborted when the visit under way is to end. */
  #leaving: AbortController | undefined
  #visiting: Visit | undefined
  #isStopped = false
  #rememberedAtMs = 0
  readonly #pause: Pause
  readonly #state: StateKeeper

  constructor(context: EngineContext) {
    const { clock, log, run, openSource, chooseTracker, kept, isOffered, planFreeze } = context
    this.#context = context
    this.#notes = new NoteBox(log)
    const note: NoteBox['add'] = (level, message) => this.#notes.add(level, message)
    this.#disks = new DiskSet({ clock, openSource, chooseTracker, ...(kept && { kept }), isOffered, note })
    this.#throttle = new Throttle(clock)
    this.#meter = new Meter(clock)
    this.#progress = new Progress(clock, this.#meter)
    this.#yielding = new Yielding(clock)
    this.#certainty = new Certainty(clock)
    this.#points = new PointKeeper(clock)
    this.#pause = new Pause(clock)
    this.#state = new StateKeeper(clock, log, () => context.onChange())
    const pool = new AlignedPool(poolSlots)
    const reader = new Reader({
      pool,
      clock,
      onUnreadable: ({ unreadableCount }, { message }) =>
        note(
          'ERROR',
          `${message}; it is tried again, and nothing stands in for it. Blocks of this disk that cannot be read: ${unreadableCount}`,
        ),
    })
    this.#visitContext = {
      engine: context,
      clock,
      log,
      run,
      reader,
      scanner: new Scanner({ reader, pool, clock, hashThreads: context.hashThreads }),
      disks: this.#disks,
      throttle: this.#throttle,
      meter: this.#meter,
      isCompressionOff: context.isCompressionOff ?? false,
      progress: this.#progress,
      yielding: this.#yielding,
      certainty: this.#certainty,
      points: this.#points,
      verification: this.#verification,
      notes: this.#notes,
      counters: this.#counters,
      planFreeze: () => planFreeze(this.#disks.all.map((disk) => disk.deviceName)),
      findHooks: () => context.findHooks(),
      onChange: () => context.onChange(),
      onTurn: () => this.#afterTurn(),
      rescanEpoch: () => this.#rescanEpoch ?? 0,
    }
  }

  /** Makes this so and keeps it so. Called with every answer of the gateway, changed or not. */
  apply(desired: AgentDesired): void {
    const before = this.#desired
    this.#desired = desired
    this.#throttle.setBitsPerSecond(desired.throttleBitsPerSecond)
    this.#throttle.isOff = desired.isSendingOff ?? false
    this.#progress.setLimit(desired.throttleBitsPerSecond, this.#throttle.isOff)
    this.#applyRescan(desired.rescanEpoch)
    this.#points.setPolicy(desired.consistencyPolicy)
    if (this.#points.apply(desired.consistencyPoint)) {
      this.#context.log.info(`Consistency point ${desired.consistencyPoint?.consistencyPointId} is asked for`)
    }
    if (this.#verification.apply(desired.verifyEpoch))
      this.#notes.add('INFO', 'The copies of all disks are verified, as the operator asked')
    if (before !== undefined && sessionKey(before) === sessionKey(desired)) return
    this.#faults.forgive()
    this.#leaving?.abort(new Error('The gateway wants something else'))
    this.#pause.end()
  }

  /** Replicates until {@link stop}. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const desired = this.#desired
      if (desired?.mode === 'REPLICATE' && desired.replicator !== undefined && desired.disks.length > 0) {
        await this.#replicate(desired)
      } else {
        await this.#rest(desired)
      }
    }
    rememberTracking(this.#disks.all, [], this.#rescanEpoch ?? 0)
    await this.#disks.leaveAll()
    await this.#context.hashThreads?.close()
  }

  /** Ends the session in order and makes {@link run} return. */
  stop(): void {
    this.#isStopped = true
    this.#leaving?.abort(new Error('The agent stops'))
    this.#pause.end()
  }

  /** Logs a sentence and keeps it for the dashboard. */
  note(level: Note['level'], message: string): void {
    this.#notes.add(level, message)
  }

  /** Sentences not told yet; who takes them must tell them. */
  takeNotes(): Note[] {
    return this.#notes.take()
  }

  /** Puts notes back that could not be told. */
  giveBackNotes(notes: readonly Note[]): void {
    this.#notes.giveBack(notes)
  }

  /** The gateway has heard what became of points up to this one. */
  toldPoints(sequence: number): void {
    this.#points.told(sequence)
  }

  /** How it stands now. */
  report(): EngineReport {
    const { all } = this.#disks
    const disks = all.map((disk) => reportDisk(disk, this.#visiting?.bytesOnTheWay(disk.diskIndex) ?? 0))
    return {
      ...this.#progress.report(this.#state.state, all, disks),
      state: this.#state.state,
      isConnected: this.#visiting !== undefined,
      firstByteAtMs: this.#counters.firstByteAtMs,
      lastConsistentAtMs: this.#certainty.lastConsistentAtMs(),
      lagMs: this.#certainty.lagMs(),
      backlogBytes: disks.reduce((sum, disk) => sum + disk.backlogBytes, 0),
      bytesPerSecond: this.#meter.perSecond(),
      sentBytes: this.#counters.sentBytes,
      rescanEpoch: this.#rescanEpoch ?? 0,
      disks,
      consistencyFailure: this.#points.failure,
      pointOutcomes: this.#points.outcomes,
      readingSlowed: this.#yielding.because,
      verification: this.#verification.report(this.#disks.all, this.#context.clock.monotonicMs()),
      error: this.#currentFault(),
    }
  }

  /** Nothing to replicate: let go of everything when stopped; otherwise go on tracking, so that no comparison is needed afterwards. */
  async #rest(desired: AgentDesired | undefined): Promise<void> {
    const isForgetting = desired?.mode === 'STOP' || desired?.mode === 'UNINSTALL'
    if (isForgetting) {
      await this.#disks.closeAll()
      this.#certainty.reset()
      this.#verification.restart()
      this.#state.forget()
      this.#faults.clear()
    }
    this.#updateState()
    if (!this.#isStopped) await this.#pause.rest(1000)
  }

  /** One session from connecting to its end, and the wait before the next. */
  async #replicate(desired: AgentDesired): Promise<void> {
    const controller = new AbortController()
    this.#leaving = controller
    // A wish that came between reading it and this line has nothing to abort.
    if (this.#desired !== undefined && sessionKey(this.#desired) !== sessionKey(desired)) return
    try {
      await this.#disks.apply(desired.disks)
      await this.#visit(desired, controller.signal)
    } catch (error) {
      if (!controller.signal.aborted) await this.#failed(error)
    } finally {
      this.#leaving = undefined
      this.#updateState()
    }
    if (controller.signal.aborted || this.#isStopped) return
    await this.#pause.rest(this.#faults.waitMs(this.#context.random))
  }

  async #visit(desired: AgentDesired, signal: AbortSignal): Promise<void> {
    const { replicator } = desired
    if (replicator === undefined) return
    this.#updateState()
    const visit = await Visit.begin(this.#visitContext, { ...desired, replicator }, signal)
    this.#visiting = visit
    this.#state.setConnected(true)
    this.#progress.setConnected(true)
    this.#faults.hasDiskFault = false
    this.#context.log.info('Connected to the replication server')
    this.#context.onChange()
    const timer = setInterval(() => this.#everySecond(visit), 1000)
    try {
      await visit.run()
    } finally {
      clearInterval(timer)
      this.#visiting = undefined
      this.#state.setConnected(false)
      this.#progress.setConnected(false)
    }
  }

  async #failed(error: unknown): Promise<void> {
    const { whatToDo } = this.#faults.add(error, this.#state.wasConnected)
    const { log } = this.#context
    if (this.#faults.isPassing) log.info(`The replication server is not ready yet: ${errorMessage(error)}`)
    else log.warning(`Replication is interrupted: ${errorMessage(error)}. What to do: ${whatToDo}`)
    if (error instanceof DiskGoneError) await this.#disks.closeByName(error.deviceName)
    this.#context.onChange()
  }

  #afterTurn(): void {
    this.#updateState()
    if (this.#disks.hasReturned) this.#leaving?.abort(new Error('A disk is there again'))
    const now = this.#context.clock.monotonicMs()
    if (now - this.#rememberedAtMs < rememberIntervalMs) return
    this.#rememberedAtMs = now
    this.#visiting?.remember()
  }

  #everySecond(visit: Visit): void {
    if (this.#state.connectedMs > steadyAfterMs) this.#faults.clear()
    this.#updateState()
    this.#progress.measure(this.#disks.all, visit)
    visit.tell(this.report())
    void this.#watchLoad()
    const { memory, log } = this.#context
    // A first copy counts as whole once everything of it was durable at one moment.
    if (this.#certainty.lagMs() !== null) void rememberComplete(memory, this.#disks.all, log)
  }

  /** Only a walk over the disks gives way: what changes must be followed. */
  async #watchLoad(): Promise<void> {
    const { load, log } = this.#context
    const isScanning = this.#disks.all.some(({ scan }) => scan !== undefined && scan.purpose !== 'PASS')
    const isWalking = isScanning || this.#verification.isUnderWay
    if (load === undefined || !isWalking || this.#desired?.yieldsToSource === false) {
      this.#yielding.stop()
      return
    }
    try {
      this.#yielding.see(await load.sample(this.#disks.all.map((disk) => disk.deviceName)))
    } catch (error) {
      this.#yielding.stop()
      log.warning(`Cannot see how busy the disks are: ${errorMessage(error)}`)
    }
  }

  #applyRescan(epoch: number): void {
    const before = this.#rescanEpoch
    this.#rescanEpoch = Math.max(epoch, before ?? 0)
    // A new run compares what was not compared since the operator asked, see `resumeTracking`.
    if (before === undefined || epoch <= before) return
    this.#notes.add('INFO', 'The operator asked for a rescan: every disk is compared with its copy')
    for (const disk of this.#disks.all) disk.loseCertainty(this.#context.clock.monotonicMs())
  }

  #currentFault(): DataReplicationError | undefined {
    if (this.#desired?.mode !== 'REPLICATE') return undefined
    const [stopped] = this.#disks.stopped
    if (stopped !== undefined) return faultOf(stopped.error, true)
    const unreadable = this.#disks.all.find((disk) => disk.unreadable !== undefined)?.unreadable
    if (unreadable !== undefined) return faultOf(unreadable, true)
    return this.#faults.told
  }

  #updateState(): void {
    const disks = this.#disks.all
    const { backlogBytes, lagMs } = this.report()
    this.#state.update({
      mode: this.#desired?.mode ?? 'IDLE',
      hasDiskFault: this.#faults.hasDiskFault || this.#disks.stopped.length > 0,
      isInitialSync: disks.some((disk) => !disk.isInitialSyncDone),
      isRescanning: disks.some((disk) => disk.scan?.purpose === 'RESCAN'),
      isReachingConsistencyPoint: this.#points.isAsked,
      backlogBytes,
      lagMs,
    })
  }
}
