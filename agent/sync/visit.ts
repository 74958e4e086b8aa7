/**
 * One visit to the replicator: connect, learn what it has, work until told to leave or until something fails, and take back whatever was on its
 * way and is not durable.
 * @module
 */
import type { AgentDesired } from '../../wire/control_api.ts'
import type { EngineContext } from './engine_context.ts'
import type { NoteBox } from './note_box.ts'
import type { EngineReport } from './replication_report.ts'
import type { SessionContext } from './session.ts'
import type { SenderContext } from './frame_queue.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { protocolVersion } from '../../wire/version.ts'
import { statusOf } from './replication_report.ts'
import { MeasuredConnections } from './connection_plan.ts'
import { Sender } from './sender.ts'
import { Session } from './session.ts'
import { forgetComplete } from './sync_memory.ts'
import { rememberTracking, resumeTracking } from './track_keeper.ts'

/** What outlives a visit. */
export interface VisitContext extends SenderContext, Omit<SessionContext, 'clock' | 'counters' | 'note'> {
  engine: EngineContext
  notes: NoteBox
  /** The highest rescan that the gateway asked for. */
  rescanEpoch(): number
}

/** What the gateway wants when it wants replication. */
export interface ReplicationWish {
  replicator: NonNullable<AgentDesired['replicator']>
}

/** A visit, from the first WELCOME on. */
export class Visit {
  readonly #context: VisitContext
  readonly #sender: Sender
  readonly #signal: AbortSignal

  private constructor(context: VisitContext, sender: Sender, signal: AbortSignal) {
    this.#context = context
    this.#sender = sender
    this.#signal = signal
  }

  /**
   * Connects.
   * @throws WireError as the replicator told it, LinkError when it cannot be reached.
   */
  static async begin(context: VisitContext, desired: ReplicationWish, signal: AbortSignal): Promise<Visit> {
    const {
      sourceServerId,
      agentVersion,
      generation,
      cipherSuite,
      connectLink,
      connectionPlan = () => new MeasuredConnections(context.clock),
    } = context.engine
    const { replicator } = desired
    const disks = context.disks.all.map(({ diskIndex, volumeId, sizeBytes }) => ({
      diskIndex,
      volumeId,
      sizeBytes,
    }))
    const { replicationServerId } = replicator
    const hello = { protocolVersion, sourceServerId, replicationServerId, generation, agentVersion, disks }
    const sender = await Sender.open(
      {
        target: () => ({
          ...replicator,
          ...context.engine.identity(),
          ...(cipherSuite === undefined ? {} : { cipherSuite }),
        }),
        hello: { ...hello, blockSizeBytes },
        plan: connectionPlan(),
        clock: context.clock,
        ...(connectLink === undefined ? {} : { connectLink }),
        signal,
      },
      context,
    )
    return new Visit(context, sender, signal)
  }

  /** Bytes of a disk that were sent and are not durable yet. */
  bytesOnTheWay(diskIndex: number): number {
    return this.#sender.unacknowledgedBytes(diskIndex)
  }

  /** Bytes that have become durable in this visit. */
  acknowledgedBytes(): number {
    return this.#sender.acknowledgedBytes
  }

  /** Bytes of changed blocks that the replicator has already, as they are. */
  leftOutBytes(): number {
    return this.#sender.leftOutBytes
  }

  /** Writes down how it stands, for the next run of the agent. Between two turns only: nothing may be in hand. */
  remember(): void {
    this.#noteDurable()
    rememberTracking(this.#context.disks.all, this.#sender.unacknowledged(), this.#context.rescanEpoch())
  }

  /** Tells the replicator the agent's own figures. */
  tell(report: EngineReport): void {
    this.#sender.sendStatus(statusOf(report))
  }

  /** Works until the signal says to leave, then says goodbye; throws what ended it otherwise. Nothing of the disks is forgotten. */
  async run(): Promise<void> {
    const signal = this.#signal
    // Leaving says goodbye: what waits for room or answers is woken by that.
    const leave = () => void this.#sender.goodbye()
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    try {
      await this.#learn()
      const { notes, ...context } = this.#context
      const note: SessionContext['note'] = (level, message) => notes.add(level, message)
      await new Session({ ...context, note }, this.#sender, signal).run()
    } finally {
      signal.removeEventListener('abort', leave)
      if (signal.aborted) await this.#sender.goodbye()
      this.#sender.destroy(new Error('The session is over'))
      this.#takeBack()
    }
  }

  /** Hears what the volumes hold, and begins accordingly. */
  async #learn(): Promise<void> {
    const { clock, engine, disks, points, notes, certainty, verification, rescanEpoch } = this.#context
    const note: SessionContext['note'] = (level, message) => notes.add(level, message)
    for (const disk of disks.all) {
      const contents = this.#sender.contentsOf(disk.diskIndex) ?? 'PARTIAL'
      const copyId = this.#sender.copyIdOf(disk.diskIndex)
      const welcome = { contents, copyId, rescanEpoch: rescanEpoch(), nowMs: clock.monotonicMs() }
      if (!disk.isKnown && resumeTracking(disk, welcome, note)) continue
      if (disk.isKnown && contents === 'PARTIAL' && disk.copyId !== copyId) {
        note(
          'WARNING',
          `The copy of ${disk.deviceName} is another one than before; the disk is compared with it`,
        )
        disk.loseCertainty(clock.monotonicMs())
        verification.restart(disk.diskIndex)
        // What was certain, and the moment that a barrier named, were those of the copy that is gone.
        certainty.reset()
        points.sentBarrier = undefined
      }
      disk.copyId = copyId
      const wasComplete = engine.memory.isComplete(disk.volumeId)
      const isEmptied = disk.learnContents(contents, wasComplete, clock.monotonicMs())
      if (contents === 'EMPTY') await forgetComplete(engine.memory, disk, engine.log)
      if (!isEmptied) continue
      points.sentBarrier = undefined
      verification.restart(disk.diskIndex)
      notes.add(
        'WARNING',
        `The copy of ${disk.deviceName} is empty, though blocks of it were durable; it is copied again`,
      )
    }
    if (disks.all.some((disk) => !disk.isInitialSyncDone)) certainty.reset()
  }

  #noteDurable(): void {
    for (const disk of this.#context.disks.all)
      if (this.#sender.acknowledgedBlocks(disk.diskIndex) > 0) disk.hasDurableBlocks = true
  }

  /** Whatever was on its way is outstanding again. */
  #takeBack(): void {
    const { all } = this.#context.disks
    this.#noteDurable()
    const damaged = this.#sender.takeDamaged()
    // Something is sent before the barrier would be repeated, so that it would name another moment.
    if (damaged.length > 0) this.#context.points.sentBarrier = undefined
    for (const extent of [...this.#sender.unacknowledged(), ...damaged]) {
      const disk = all.find((candidate) => candidate.diskIndex === extent.diskIndex)
      disk?.dirty.mark(extent.firstBlock, extent.blockCount)
    }
  }
}
