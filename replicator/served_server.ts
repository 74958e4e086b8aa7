/**
 * A source server as this replication server serves it: its generation, its volumes, its connections and the hold. All connections of
 * one generation share it.
 *
 * ```
 * HELLO of a new session ─▶ older connections end ─▶ their writes end ─▶ generation durable ─▶ volumes open ─▶ WELCOME
 * PREPARE ─▶ what is not known is read, while writes go on ─▶ TO_READ
 * BARRIER ─▶ gate closed ─▶ writes end ─▶ the rest is read, for a bounded time ─▶ volumes settled ─▶ roots ─▶ hold durable ─▶ BARRIER_REACHED ─▶ told to the gateway
 * heartbeat says TAKEN, EXPIRED, FAILED or another point ─▶ release durable ─▶ gate open
 * ```
 * @module
 */
import type { Logger } from 'pino'
import type { ReplicatorHeartbeat } from '../wire/control_api.ts'
import type { UnreadBlocks } from '../domain/unread_blocks.ts'
import { maxBarrierReadMs } from '../wire/limits.ts'
import type { Barrier, BarrierReached, Hello, Welcome } from '../wire/message.ts'
import type { ServerTelemetry } from '../wire/telemetry.ts'
import { asWireError } from '../wire/wire_error.ts'
import type { WireError } from '../wire/wire_error.ts'
import { checkHello, reasonToEnd, requireAllVolumes } from './assignment.ts'
import type { AssignedVolume, Assignment } from './assignment.ts'
import type { DocumentStore, ServerCheckpoint } from './checkpoint.ts'
import { noteDamage } from './damage_notes.ts'
import { Hold } from './hold.ts'
import type { Announce } from './hold.ts'
import { Members, requireCurrent } from './members.ts'
import type { ServerSession } from './members.ts'
import { Reaching } from './reaching.ts'
import { ServerNotes } from './server_notes.ts'
import { ServerRecord } from './server_record.ts'
import { ServerStats } from './server_stats.ts'
import { TurnQueue } from '../domain/turn_queue.ts'
import type { Volume } from './volume.ts'
import type { VolumeParts } from './volume_parts.ts'
import { VolumeScrub } from './volume_scrub.ts'
import { isSameVolume, settledRoots, unreadOf, VolumeSet } from './volume_set.ts'
import { WriteCount } from './write_count.ts'

/** The longest sentence that a heartbeat carries. */
const maxErrorLength = 2000

/** How long reading goes on after a point was last announced: the agent does so every second until it sends the barrier. */
const preparingMs = 5000

/** What a served server needs. */
export interface ServedServerOptions {
  replicationServerId: string
  assignment: Assignment
  checkpoint: DocumentStore<ServerCheckpoint>
  /** Opens the data and state of a volume. */
  openParts: (volume: AssignedVolume) => Promise<VolumeParts>
  announce: Announce
  log: Logger
  segmentBlocks?: number
  /** How long is read behind a barrier at most. Default: {@link maxBarrierReadMs}. */
  barrierReadMs?: number
}

/** See the module's drawing. */
export class ServedServer {
  readonly sourceServerId: string
  readonly stats = new ServerStats()
  readonly writes = new WriteCount()
  readonly hold: Hold
  readonly notes = new ServerNotes()
  readonly scrub: VolumeScrub
  readonly #options: ServedServerOptions
  readonly #record: ServerRecord
  readonly #volumes: VolumeSet
  readonly #members = new Members()
  /** Admissions and barriers, one after the other. */
  readonly #turn = new TurnQueue()
  #assignment: Assignment
  #error: string | undefined
  #closedBecause: WireError | undefined
  #isPreparing = false
  #preparedAtMs = 0
  /** The barrier that is being reached; there is one at most, as the gate is closed before the next. */
  #reaching: Reaching | undefined

  private constructor(options: ServedServerOptions, record: ServerRecord) {
    const { sourceServerId } = options.assignment
    this.#options = options
    this.#assignment = options.assignment
    this.sourceServerId = sourceServerId
    this.#record = record
    this.hold = new Hold({ sourceServerId, record, announce: options.announce, log: options.log })
    const { notes } = this
    const { log } = options
    this.#volumes = new VolumeSet({
      ...options,
      onBroken: (error) => this.#endAll(error),
      onDamaged: (volume, found) => noteDamage(volume, found, { notes, log }),
    })
    this.scrub = new VolumeScrub(this.#volumes, log)
  }

  /** Takes up a server where its checkpoint left it: a point that was held is held and told of again. @throws Error of the checkpoint. */
  static async open(options: ServedServerOptions): Promise<ServedServer> {
    return new ServedServer(
      options,
      await ServerRecord.open(options.assignment.sourceServerId, options.checkpoint),
    )
  }

  get assignment(): Assignment {
    return this.#assignment
  }

  get isConnected(): boolean {
    return this.#members.size > 0
  }

  /**
   * Admits a connection: checks its HELLO, ends those that it takes over from, opens the volumes.
   * @throws WireError with the reason for a refusal.
   */
  admit(
    hello: Hello,
    session: ServerSession,
  ): Promise<{ disks: Welcome['disks']; volumes: Map<number, Volume> }> {
    return this.#turn.run(async () => {
      if (this.#closedBecause !== undefined) throw this.#closedBecause
      const { replicationServerId } = this.#options
      const assigned = checkHello(hello, { replicationServerId, assignment: this.#assignment })
      const isSameRun = hello.generation === this.#record.generation
      await this.#takeOver(hello)
      const volumes = new Map<number, Volume>()
      for (const { volume, sizeBytes } of assigned) {
        volumes.set(volume.diskIndex, await this.#obtain(volume, sizeBytes, isSameRun))
      }
      this.#error = undefined
      this.#members.add(session, hello)
      const disks = [...volumes].map(([diskIndex, { contents, copyId }]) => ({ diskIndex, contents, copyId }))
      return { disks, volumes }
    })
  }

  /** A connection is over. */
  leave(session: ServerSession): void {
    this.#members.remove(session)
    this.#reaching?.left(session)
  }

  /** Its agent came and can't be served: told in the next heartbeat, unless another connection of it is served well. */
  refused(error: WireError): void {
    if (!this.isConnected) this.#error = error.message
  }

  /** A write became durable: whatever was wrong is over. */
  wrote(diskIndex: number, bytes: number): void {
    this.#error = undefined
    this.stats.addDurable(diskIndex, bytes)
  }

  /**
   * Reaches a barrier over `volumes` for `session`. Asked again for the point that is held, it gives the same answer. Call it when the
   * {@link hold} has no obstacle to it; the gate is closed before it returns. Should more have to be read for the roots than fits the time, a point
   * that is held goes without those roots, as a launch waits for it; another is not reached, and writes go on.
   * @throws WireError when a volume fails, one is missing, or it is given up (see `reaching.ts`); writes go on then.
   */
  async barrier(
    barrier: Barrier,
    volumes: ReadonlyMap<number, Volume>,
    session: ServerSession,
  ): Promise<{ reached: BarrierReached } | { unread: UnreadBlocks }> {
    const { consistencyPointId } = barrier
    const held = this.hold.point
    if (held?.consistencyPointId === consistencyPointId) {
      const { roots, unread } = held
      return { reached: { consistencyPointId, roots, ...(unread === undefined ? {} : { unread }) } }
    }
    this.hold.gate.close()
    const reaching = new Reaching(barrier, session, this.hold.beat)
    this.#reaching = reaching
    try {
      return await this.#turn.run(async () => {
        reaching.signal.throwIfAborted()
        if (barrier.hold) requireAllVolumes(this.#assignment, volumes)
        await this.writes.none()
        const { barrierReadMs = maxBarrierReadMs } = this.#options
        const settled = await settledRoots(volumes, reaching.signal, barrierReadMs)
        reaching.signal.throwIfAborted()
        if (barrier.hold) {
          const { method, frozenMs } = barrier
          await this.hold.begin({ consistencyPointId, method, frozenMs, ...settled })
        } else if (settled.unread !== undefined) return { unread: settled.unread }
        return { reached: { consistencyPointId, ...settled } }
      })
    } finally {
      this.#reaching = undefined
      if (this.hold.point === undefined) this.hold.gate.open()
    }
  }

  /**
   * The gateway's word has come: `assignment` answers heartbeat number `beat`. Ends connections that it no longer allows.
   * @returns the volumes that are no longer its own, closed.
   */
  async update(assignment: Assignment, beat: number): Promise<string[]> {
    const gone = this.#assignment.volumes.filter(
      (old) => !assignment.volumes.some((volume) => isSameVolume(old, volume)),
    )
    this.#assignment = assignment
    if (assignment.consistencyPoint?.state === 'REQUESTED') this.#learnFast()
    this.#reaching?.heard(assignment, beat)
    this.#members.end(({ serial }) => reasonToEnd(assignment, serial, gone.length > 0))
    await this.hold.endIfTold(assignment, beat).catch((error: unknown) => this.#endAll(asWireError(error)))
    if (gone.length === 0) return []
    const kept = new Set(assignment.volumes.map((volume) => volume.volumeId))
    await this.#turn.run(async () => {
      await this.writes.none()
      for (const volume of gone) await this.#volumes.close([volume], !kept.has(volume.volumeId))
    })
    return gone.map((volume) => volume.volumeId).filter((volumeId) => !kept.has(volumeId))
  }

  /** This server's part of a heartbeat. */
  report(): ReplicatorHeartbeat['sessions'][number] {
    const held = this.hold.point?.consistencyPointId
    return {
      sourceServerId: this.sourceServerId,
      generation: this.#record.generation,
      isConnected: this.isConnected,
      openVolumeIds: this.#volumes.all
        .filter((volume) => volume.failure === undefined)
        .map((volume) => volume.volumeId),
      ...(held === undefined ? {} : { heldConsistencyPointId: held }),
      ...(this.#error === undefined ? {} : { error: this.#error.slice(0, maxErrorLength) }),
    }
  }

  /** Figures for telemetry. */
  telemetry(nowMs: number): ServerTelemetry {
    return this.stats.sample(this.sourceServerId, this.#volumes.all, nowMs)
  }

  /** Clears activity logs, see {@link VolumeSet.tidy}. */
  async tidy(isThorough: boolean): Promise<void> {
    await this.#volumes.tidy(isThorough)
    await this.#volumes.learnQuiet()
  }

  /** A point is about to be reached over `volumes`: what has to be read for its roots is read from now on, while writes go on. */
  prepare(volumes: ReadonlyMap<number, Volume>): UnreadBlocks {
    this.#learnFast()
    return unreadOf([...volumes.values()])
  }

  #learnFast(): void {
    this.#preparedAtMs = performance.now()
    if (this.#isPreparing) return
    this.#isPreparing = true
    const work = async (): Promise<void> => {
      // What came meanwhile is read as well, as long as the point is still ahead.
      while ((await this.#volumes.learnFast()) > 0)
        if (performance.now() - this.#preparedAtMs > preparingMs) return
    }
    void work().finally(() => {
      this.#isPreparing = false
    })
  }

  /**
   * Ends all connections with `reason`, now and to come, makes everything durable and closes the volumes.
   * @param isForgotten the state of the volumes is going to be dropped.
   */
  async close(reason: WireError, isForgotten = false): Promise<void> {
    this.#closedBecause = reason
    this.hold.stopAnnouncing()
    this.#members.end(() => reason)
    await this.#turn.run(async () => {
      this.#members.end(() => reason)
      await this.writes.none()
      await this.#volumes.closeAll(isForgotten)
    })
  }

  /** Refuses a stale generation; makes those give way that this HELLO takes over from. */
  async #takeOver(hello: Hello): Promise<void> {
    const { generation } = this.#record
    requireCurrent(hello, generation)
    this.#members.giveWay(hello)
    // What ended connections still have under way must not land after the writes of this one.
    if (this.#members.size === 0) await this.writes.none()
    if (hello.generation > generation) await this.#record.raiseGeneration(hello.generation)
  }

  async #obtain(assigned: AssignedVolume, sizeBytes: number, isSameRun: boolean): Promise<Volume> {
    try {
      return await this.#volumes.obtain({ assigned, sizeBytes, isSameRun, isInUse: this.isConnected })
    } catch (error) {
      this.#error = asWireError(error).message
      throw error
    }
  }

  /** Something of the replication server failed: everyone is told and connects again, which tries it anew. */
  #endAll(error: WireError): void {
    const { code, cause, message } = error
    const isNews = this.#error !== message
    this.#error = message
    if (isNews) this.#options.log.error({ err: cause, code, sourceServerId: this.sourceServerId }, message)
    this.#members.end(() => error)
  }
}
