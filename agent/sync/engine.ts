/**
 * Replication as a whole: makes what the gateway wants true, keeps a session with the replicator, and says how it stands. No session's end loses
 * what is known of the disks.
 * @module
 */
import type { DataReplicationError, DataReplicationState } from '../../domain/replication.ts'
import type { AgentDesired } from '../../wire/control_api.ts'
import type { Status } from '../../wire/message.ts'
import type { Random } from '../backoff.ts'
import type { Clock } from '../clock.ts'
import type { FreezePlan } from '../consistency/freeze_plan.ts'
import type { BlockSource } from '../disk/block_source.ts'
import type { LineLog } from '../log.ts'
import type { CommandRunner } from '../run_command.ts'
import type { Tracker } from '../tracking/tracker.ts'
import type { CipherSuite } from './cipher_choice.ts'
import type { SentExtent } from './connection.ts'
import type { Note } from './note_box.ts'
import type { EngineReport } from './replication_report.ts'
import type { SendCounters } from './sender.ts'
import type { SessionContext } from './session.ts'
import { errorMessage } from '../../domain/errors.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { protocolVersion } from '../../wire/version.ts'
import { PointKeeper } from '../consistency/point_keeper.ts'
import { AlignedPool } from '../disk/aligned_pool.ts'
import { DiskGoneError } from '../disk/block_source.ts'
import { Certainty } from './certainty.ts'
import { DiskSet } from './disk_set.ts'
import { FaultKeeper, steadyAfterMs } from './fault_keeper.ts'
import { faultOf } from './faults.ts'
import { Meter } from './meter.ts'
import { NoteBox } from './note_box.ts'
import { Reader } from './reader.ts'
import { reportDisk } from './replication_report.ts'
import { Scanner } from './scanner.ts'
import { Sender } from './sender.ts'
import { Session } from './session.ts'
import { nextState } from './state.ts'
import { Throttle } from './throttle.ts'

/** Extents in memory for reading and sending. */
const poolSlots = 12

/** Remembers across runs which volumes hold a whole first copy. */
export interface SyncMemory {
  isComplete(volumeId: string): boolean
  setComplete(volumeId: string, isComplete: boolean): Promise<void>
}

/** What the engine is made with. */
export interface EngineContext {
  clock: Clock
  log: LineLog
  random: Random
  run: CommandRunner
  sourceServerId: string
  agentVersion: string
  /** Given by the gateway for this run. */
  generation: number
  identity(): { caPem: string; certificatePem: string; keyPem: string }
  openSource(deviceName: string): Promise<BlockSource>
  chooseTracker(source: BlockSource): Promise<Tracker>
  isOffered(deviceName: string): boolean
  /** The file systems to freeze for these devices; undefined when this machine cannot freeze. */
  planFreeze(deviceNames: readonly string[]): Promise<FreezePlan | undefined>
  memory: SyncMemory
  /** Something worth a heartbeat at once has happened. */
  onChange(): void
  /** Connections to open; default 1. */
  connectionCount?: number
  /** What to encrypt blocks with; default: the platform's first. */
  cipherSuite?: CipherSuite
}

/** What of the gateway's wishes ends a session when it changes. */
function sessionKey({ mode, replicator, disks }: AgentDesired): string {
  return JSON.stringify({ mode, replicator, disks })
}

/** Blocks of one disk among extents. */
function blocksOf(extents: readonly SentExtent[], diskIndex: number): number {
  return extents.reduce((sum, extent) => (extent.diskIndex === diskIndex ? sum + extent.blockCount : sum), 0)
}

/** The engine. One per run of the agent. */
export class Engine {
  readonly #context: EngineContext
  readonly #disks: DiskSet
  readonly #reader: Reader
  readonly #scanner: Scanner
  readonly #throttle: Throttle
  readonly #meter: Meter
  readonly #certainty: Certainty
  readonly #counters: SendCounters = { sentBytes: 0 }
  #desired: AgentDesired | undefined
  #session: { sender: Sender; controller: AbortController } | undefined
  #sessionStop: AbortController | undefined
  #isStopped = false
  #wake: () => void = () => undefined
  #state: DataReplicationState = 'STOPPED'
  #wasConnected = false
  #disconnectedAtMs: number
  #connectedAtMs = 0
  readonly #faults = new FaultKeeper()
  #rescanEpoch: number | undefined
  readonly #points: PointKeeper
  readonly #notes: NoteBox

  constructor(context: EngineContext) {
    const { clock } = context
    const pool = new AlignedPool(poolSlots)
    this.#context = context
    this.#notes = new NoteBox(context.log)
    this.#disks = new DiskSet({
      clock,
      openSource: context.openSource,
      chooseTracker: context.chooseTracker,
      isOffered: context.isOffered,
      note: (level, message) => this.#notes.add(level, message),
    })
    this.#reader = new Reader({
      pool,
      clock,
      onUnreadable: (_disk, error) =>
        this.#notes.add('ERROR', `${error.message}; it is tried again, and nothing stands in for it`),
    })
    this.#scanner = new Scanner(this.#reader, pool)
    this.#throttle = new Throttle(clock)
    this.#meter = new Meter(clock)
    this.#certainty = new Certainty(clock)
    this.#points = new PointKeeper(clock)
    this.#disconnectedAtMs = clock.monotonicMs()
  }

  /** Makes this so and keeps it so. Called with every answer of the gateway, changed or not. */
  apply(desired: AgentDesired): void {
    const before = this.#desired
    this.#desired = desired
    this.#throttle.setBitsPerSecond(desired.throttleBitsPerSecond)
    this.#applyRescan(desired.rescanEpoch)
    if (this.#points.apply(desired.consistencyPoint)) {
      this.#context.log.info(`Consistency point ${desired.consistencyPoint?.consistencyPointId} is asked for`)
    }
    if (before !== undefined && sessionKey(before) === sessionKey(desired)) return
    this.#faults.forgive()
    this.#sessionStop?.abort(new Error('The gateway wants something else'))
    this.#wake()
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
    await this.#disks.closeAll()
  }

  /** Ends the session in order and makes {@link run} return. */
  stop(): void {
    this.#isStopped = true
    this.#sessionStop?.abort(new Error('The agent stops'))
    this.#wake()
  }

  /** Sentences not told yet; who takes them must tell them. */
  takeNotes(): Note[] {
    return this.#notes.take()
  }

  /** Puts notes back that could not be told. */
  giveBackNotes(notes: readonly Note[]): void {
    this.#notes.giveBack(notes)
  }

  /** How it stands now. */
  report(): EngineReport {
    const onTheWay = this.#session?.sender.unacknowledged() ?? []
    const disks = this.#disks.all.map((disk) => reportDisk(disk, blocksOf(onTheWay, disk.diskIndex)))
    return {
      state: this.#state,
      isConnected: this.#session !== undefined,
      firstByteAtMs: this.#counters.firstByteAtMs,
      lastConsistentAtMs: this.#certainty.lastConsistentAtMs(),
      lagMs: this.#certainty.lagMs(),
      backlogBytes: disks.reduce((sum, disk) => sum + disk.backlogBytes, 0),
      bytesPerSecond: this.#meter.perSecond(),
      sentBytes: this.#counters.sentBytes,
      rescanEpoch: this.#rescanEpoch ?? 0,
      disks,
      consistencyFailure: this.#points.failure,
      error: this.#currentFault(),
    }
  }

  /** Nothing to replicate: let go of everything when stopped; otherwise go on tracking, so that no comparison is needed afterwards. */
  async #rest(desired: AgentDesired | undefined): Promise<void> {
    const isForgetting = desired?.mode === 'STOP' || desired?.mode === 'UNINSTALL'
    if (isForgetting) {
      await this.#disks.closeAll()
      this.#certainty.reset()
      this.#wasConnected = false
      this.#faults.clear()
    }
    this.#updateState()
    await this.#untilWoken(1000)
  }

  /** One session from connecting to its end, and the wait before the next. */
  async #replicate(desired: AgentDesired): Promise<void> {
    const controller = new AbortController()
    this.#sessionStop = controller
    // A wish that came between reading it and this line has nothing to abort.
    if (
      this.#desired !== desired &&
      this.#desired !== undefined &&
      sessionKey(this.#desired) !== sessionKey(desired)
    )
      return
    try {
      await this.#disks.apply(desired.disks)
      await this.#connectAndWork(desired, controller)
    } catch (error) {
      if (!controller.signal.aborted) await this.#failed(error)
    } finally {
      this.#sessionStop = undefined
      this.#updateState()
    }
    if (controller.signal.aborted || this.#isStopped) return
    await this.#untilWoken(this.#faults.waitMs(this.#context.random))
  }

  async #connectAndWork(desired: AgentDesired, controller: AbortController): Promise<void> {
    const { replicator } = desired
    if (replicator === undefined) return
    const { clock, sourceServerId, agentVersion, generation, cipherSuite } = this.#context
    this.#updateState()
    const sender = await Sender.open({
      target: {
        ...replicator,
        ...this.#context.identity(),
        ...(cipherSuite === undefined ? {} : { cipherSuite }),
      },
      hello: {
        protocolVersion,
        sourceServerId,
        replicationServerId: replicator.replicationServerId,
        generation,
        agentVersion,
        blockSizeBytes,
        disks: desired.disks.map(({ diskIndex, volumeId, sizeBytes }) => ({
          diskIndex,
          volumeId,
          sizeBytes,
        })),
      },
      connectionCount: this.#context.connectionCount ?? 1,
      context: { clock, throttle: this.#throttle, meter: this.#meter, counters: this.#counters },
      signal: controller.signal,
    })
    this.#begin(sender, controller)
    const timer = setInterval(() => this.#everySecond(sender), 1000)
    // Stopping says goodbye: what waits for room or answers is woken by that.
    const leave = () => void sender.goodbye()
    controller.signal.addEventListener('abort', leave, { once: true })
    if (controller.signal.aborted) leave()
    try {
      await this.#learn(sender)
      await new Session(this.#sessionContext(), sender, controller.signal).run()
    } finally {
      clearInterval(timer)
      controller.signal.removeEventListener('abort', leave)
      if (controller.signal.aborted) await sender.goodbye()
      sender.destroy(new Error('The session is over'))
      this.#end(sender)
    }
  }

  #begin(sender: Sender, controller: AbortController): void {
    this.#session = { sender, controller }
    this.#wasConnected = true
    this.#faults.hasDiskFault = false
    this.#connectedAtMs = this.#context.clock.monotonicMs()
    this.#context.log.info('Connected to the replication server')
    this.#context.onChange()
  }

  async #learn(sender: Sender): Promise<void> {
    const { clock, memory } = this.#context
    for (const disk of this.#disks.all) {
      const contents = sender.contentsOf(disk.diskIndex) ?? 'PARTIAL'
      const isEmptied = disk.learnContents(contents, memory.isComplete(disk.volumeId), clock.monotonicMs())
      if (contents === 'EMPTY' && memory.isComplete(disk.volumeId))
        await memory.setComplete(disk.volumeId, false)
      if (!isEmptied) continue
      this.#points.sentBarrier = undefined
      this.#notes.add(
        'WARNING',
        `The copy of ${disk.deviceName} is empty, though blocks of it were durable; it is copied again`,
      )
    }
    if (this.#disks.all.some((disk) => !disk.isInitialSyncDone)) this.#certainty.reset()
  }

  /** Whatever was on its way is outstanding again. */
  #end(sender: Sender): void {
    for (const disk of this.#disks.all) {
      if (sender.acknowledgedBlocks(disk.diskIndex) > 0) disk.hasDurableBlocks = true
    }
    for (const extent of sender.unacknowledged()) {
      const disk = this.#disks.all.find((candidate) => candidate.diskIndex === extent.diskIndex)
      disk?.dirty.mark(extent.firstBlock, extent.blockCount)
    }
    this.#session = undefined
    this.#disconnectedAtMs = this.#context.clock.monotonicMs()
  }

  async #failed(error: unknown): Promise<void> {
    this.#faults.add(error, this.#wasConnected)
    this.#context.log.warning(`Replication is interrupted: ${errorMessage(error)}`)
    if (error instanceof DiskGoneError) await this.#disks.closeByName(error.deviceName)
    this.#context.onChange()
  }

  #everySecond(sender: Sender): void {
    if (this.#context.clock.monotonicMs() - this.#connectedAtMs > steadyAfterMs) this.#faults.clear()
    this.#updateState()
    const report = this.report()
    const body: Status = {
      state: report.state,
      backlogBytes: report.backlogBytes,
      lagMs: report.lagMs,
      disks: report.disks.map(({ diskIndex, scannedBytes, backlogBytes, rescans }) => ({
        diskIndex,
        scannedBytes,
        backlogBytes,
        rescans,
      })),
    }
    sender.sendStatus(body)
    void this.#rememberComplete()
  }

  /** A first copy counts as whole once everything of it was durable at one moment. */
  async #rememberComplete(): Promise<void> {
    const { memory, log } = this.#context
    // Held means that file systems are frozen: a write would wait for them.
    if (this.#certainty.lagMs() === null || log.isHeld) return
    for (const disk of this.#disks.all) {
      if (!disk.isInitialSyncDone || memory.isComplete(disk.volumeId)) continue
      await memory.setComplete(disk.volumeId, true).catch((error: unknown) => {
        log.warning(`Cannot remember that ${disk.deviceName} is copied: ${errorMessage(error)}`)
      })
    }
  }

  #applyRescan(epoch: number): void {
    const before = this.#rescanEpoch
    this.#rescanEpoch = Math.max(epoch, before ?? 0)
    // A new run compares everything anyway, whatever was asked of the one before.
    if (before === undefined || epoch <= before) return
    this.#notes.add('INFO', 'The operator asked for a rescan: every disk is compared with its copy')
    for (const disk of this.#disks.all) disk.loseCertainty(this.#context.clock.monotonicMs())
  }

  #sessionContext(): SessionContext {
    const { clock, log, run } = this.#context
    return {
      clock,
      log,
      run,
      disks: this.#disks,
      reader: this.#reader,
      scanner: this.#scanner,
      certainty: this.#certainty,
      points: this.#points,
      planFreeze: () => this.#context.planFreeze(this.#disks.all.map((disk) => disk.deviceName)),
      note: (level, message) => this.#notes.add(level, message),
      counters: this.#counters,
      onChange: () => this.#context.onChange(),
      onTurn: () => this.#updateState(),
    }
  }

  #currentFault(): DataReplicationError | undefined {
    if (this.#desired?.mode !== 'REPLICATE') return undefined
    const unreadable = this.#disks.all.find((disk) => disk.unreadable !== undefined)?.unreadable
    if (unreadable !== undefined) return faultOf(unreadable, true)
    return this.#faults.told
  }

  #updateState(): void {
    const disks = this.#disks.all
    const now = this.#context.clock.monotonicMs()
    const report = this.report()
    const next = nextState({
      mode: this.#desired?.mode ?? 'IDLE',
      wasConnected: this.#wasConnected,
      disconnectedMs: this.#session === undefined ? now - this.#disconnectedAtMs : 0,
      hasDiskFault: this.#faults.hasDiskFault,
      isInitialSync: disks.some((disk) => !disk.isInitialSyncDone),
      isRescanning: disks.some((disk) => disk.scan?.purpose === 'RESCAN'),
      isReachingConsistencyPoint: this.#points.pending !== undefined,
      backlogBytes: report.backlogBytes,
      lagMs: report.lagMs,
      current: this.#state,
    })
    if (next === this.#state) return
    this.#context.log.info(`Replication ${this.#state} → ${next}`)
    this.#state = next
    this.#context.onChange()
  }

  async #untilWoken(ms: number): Promise<void> {
    if (this.#isStopped) return
    const woken = new AbortController()
    this.#wake = () => woken.abort(new Error('Woken'))
    await this.#context.clock.sleep(ms, woken.signal).catch((error: unknown) => {
      if (!woken.signal.aborted) throw error
    })
    this.#wake = () => undefined
  }
}
