/**
 * A source server as this replication server serves it: its generation, its volumes, its connections and the hold. All connections of
 * one generation share it.
 *
 * ```
 * HELLO of a higher generation ─▶ older connections end ─▶ their writes end ─▶ generation durable ─▶ WELCOME
 * BARRIER ─▶ gate closed ─▶ writes end ─▶ volumes settled ─▶ roots ─▶ hold durable ─▶ BARRIER_REACHED ─▶ told to the gateway
 * heartbeat says TAKEN, EXPIRED, FAILED or another point ─▶ release durable ─▶ gate open
 * ```
 * @module
 */
import type { Logger } from 'pino'
import type { ConsistencyReached, ReplicatorHeartbeat } from '../wire/control_api.ts'
import type { Barrier, BarrierReached, Hello, Welcome } from '../wire/message.ts'
import type { ServerTelemetry } from '../wire/telemetry.ts'
import { asWireError, WireError } from '../wire/wire_error.ts'
import { checkHello } from './assignment.ts'
import type { AssignedVolume, Assignment } from './assignment.ts'
import type { DocumentStore, HeldPoint, ServerCheckpoint } from './checkpoint.ts'
import { diskError } from './disk.ts'
import { isReleased, WriteGate } from './hold.ts'
import { normalSerial } from './peer.ts'
import { ServerStats } from './server_stats.ts'
import type { Volume } from './volume.ts'
import { openVolume } from './volume.ts'
import type { VolumeParts } from './volume_parts.ts'

/** Tells the gateway of a point that was reached, again and again until it accepts or `signal` aborts. Never rejects. */
export type Announce = (reached: ConsistencyReached, signal: AbortSignal) => Promise<void>

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
}

/** A connection, as its server sees it. */
export interface ServerSession {
  /** Serial of the certificate it came with. */
  readonly serial: string
  /** Says why and closes. What is under way ends by itself. */
  end(error: WireError): void
}

interface Member {
  session: ServerSession
  generation: number
  connectionIndex: number
}

/** More active segments than this are cleaned up at once: each may have to be read again after an unclean end. */
const maxActiveSegments = 64

function isSameVolume(left: AssignedVolume, right: AssignedVolume): boolean {
  return (
    left.diskIndex === right.diskIndex &&
    left.volumeId === right.volumeId &&
    left.devicePath === right.devicePath
  )
}

/** See the module's drawing. */
export class ServedServer {
  readonly sourceServerId: string
  readonly gate = new WriteGate()
  readonly stats = new ServerStats()
  readonly #options: ServedServerOptions
  readonly #volumes = new Map<number, Volume>()
  readonly #suspects = new Set<string>()
  readonly #members = new Set<Member>()
  #assignment: Assignment
  /** The checkpoint as it is on the disk. */
  #saved: ServerCheckpoint = { generation: 0 }
  #saving: Promise<unknown> = Promise.resolve()
  #held: HeldPoint | undefined
  /** The heartbeat that was the last to be sent when the hold began: only later ones can know of it. */
  #heldAtBeat = 0
  #beat = 0
  #endAnnouncing: (() => void) | undefined
  #error: string | undefined
  #writesUnderWay = 0
  #onIdle: (() => void)[] = []
  /** Admissions and barriers, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(options: ServedServerOptions) {
    this.#options = options
    this.#assignment = options.assignment
    this.sourceServerId = options.assignment.sourceServerId
  }

  /** Takes up a server where its checkpoint left it: a point that was held is held and told of again. @throws Error of the checkpoint. */
  static async open(options: ServedServerOptions): Promise<ServedServer> {
    const server = new ServedServer(options)
    server.#saved = (await options.checkpoint.read()) ?? { generation: 0 }
    if (server.#saved.held !== undefined) {
      server.gate.close()
      server.#hold(server.#saved.held)
    }
    return server
  }

  get assignment(): Assignment {
    return this.#assignment
  }

  /** The point at which writes are held back. */
  get heldConsistencyPointId(): string | undefined {
    return this.#held?.consistencyPointId
  }

  get isConnected(): boolean {
    return this.#members.size > 0
  }

  /**
   * Admits a connection: checks its HELLO, fences older generations, opens the volumes.
   * @throws WireError with the reason for a refusal.
   */
  admit(
    hello: Hello,
    session: ServerSession,
  ): Promise<{ disks: Welcome['disks']; volumes: Map<number, Volume> }> {
    return this.#inTurn(async () => {
      const assigned = checkHello(hello, {
        replicationServerId: this.#options.replicationServerId,
        assignment: this.#assignment,
      })
      await this.#fence(hello)
      const volumes = new Map<number, Volume>()
      for (const [position, disk] of hello.disks.entries()) {
        volumes.set(disk.diskIndex, await this.#volume(assigned[position] as AssignedVolume, disk.sizeBytes))
      }
      this.#error = undefined
      this.#members.add({ session, generation: hello.generation, connectionIndex: hello.connectionIndex })
      const disks = [...volumes].map(([diskIndex, volume]) => ({ diskIndex, contents: volume.contents }))
      return { disks, volumes }
    })
  }

  /** A connection is over. */
  leave(session: ServerSession): void {
    for (const member of this.#members) if (member.session === session) this.#members.delete(member)
  }

  /** A write begins; the gate must be open. {@link endWrite} must follow, when it is durable or has failed. */
  beginWrite(): void {
    this.#writesUnderWay++
  }

  endWrite(): void {
    if (--this.#writesUnderWay > 0) return
    const waiting = this.#onIdle
    this.#onIdle = []
    for (const resolve of waiting) resolve()
  }

  /** A write became durable: whatever was wrong is over. */
  wrote(diskIndex: number, bytes: number): void {
    this.#error = undefined
    this.stats.addDurable(diskIndex, bytes)
  }

  /** Whether a BARRIER can be handled now: always while the gate is open, else only when it asks again for the point being held. */
  isBarrierOpen(barrier: Barrier): boolean {
    return !this.gate.isClosed || this.#held?.consistencyPointId === barrier.consistencyPointId
  }

  /**
   * Reaches a barrier over `volumes` for `session`. Asked again for the point that is held, it gives the same answer. Call it when
   * {@link isBarrierOpen}; the gate is closed before it returns.
   * @throws WireError when a volume fails or the session was ended meanwhile; writes go on then.
   */
  async barrier(
    barrier: Barrier,
    volumes: ReadonlyMap<number, Volume>,
    session: ServerSession,
  ): Promise<BarrierReached> {
    const { consistencyPointId } = barrier
    if (this.#held?.consistencyPointId === consistencyPointId)
      return { consistencyPointId, roots: this.#held.roots }
    this.gate.close()
    try {
      return await this.#inTurn(async () => {
        this.#requireMember(session)
        await this.#idle()
        const roots: BarrierReached['roots'] = []
        for (const [diskIndex, volume] of volumes) {
          await volume.settle()
          roots.push({ diskIndex, root: await volume.root() })
        }
        if (barrier.hold) {
          this.#requireMember(session)
          const held = { consistencyPointId, method: barrier.method, frozenMs: barrier.frozenMs, roots }
          await this.#save((saved) => ({ ...saved, held }))
          this.#hold(held)
        }
        return { consistencyPointId, roots }
      })
    } finally {
      if (this.#held === undefined) this.gate.open()
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
    this.#endUnassigned(gone.length > 0)
    await this.#releaseIfTold(beat)
    if (gone.length === 0) return []
    await this.#inTurn(async () => {
      await this.#idle()
      await this.#closeVolumes(gone.map((volume) => volume.diskIndex))
    })
    const kept = new Set(assignment.volumes.map((volume) => volume.volumeId))
    return gone.map((volume) => volume.volumeId).filter((volumeId) => !kept.has(volumeId))
  }

  /** Notes that heartbeat `beat` is about to be sent. */
  beatSent(beat: number): void {
    this.#beat = beat
  }

  /** This server's part of a heartbeat. */
  report(): ReplicatorHeartbeat['sessions'][number] {
    return {
      sourceServerId: this.sourceServerId,
      generation: this.#saved.generation,
      isConnected: this.isConnected,
      openVolumeIds: [...this.#volumes.values()]
        .filter((volume) => volume.failure === undefined)
        .map((volume) => volume.volumeId),
      ...(this.#held === undefined ? {} : { heldConsistencyPointId: this.#held.consistencyPointId }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
    }
  }

  /** Figures for telemetry. */
  telemetry(nowMs: number): ServerTelemetry {
    return this.stats.sample(this.sourceServerId, [...this.#volumes.values()], nowMs)
  }

  /** Clears activity logs: those that have grown long, and with `all` every one. Trouble ends the connections and is reported. */
  async tidy(all: boolean): Promise<void> {
    for (const volume of this.#volumes.values()) {
      if (volume.failure !== undefined || (!all && volume.activeSegmentCount <= maxActiveSegments)) continue
      try {
        await volume.settle()
      } catch (error) {
        this.#options.log.error({ err: error, volumeId: volume.volumeId }, asWireError(error).message)
      }
    }
  }

  /** Ends all connections with `reason`, makes everything durable and closes the volumes. */
  async close(reason: WireError): Promise<void> {
    this.#endAnnouncing?.()
    for (const { session } of this.#members) session.end(reason)
    this.#members.clear()
    await this.#inTurn(async () => {
      await this.#idle()
      await this.#closeVolumes([...this.#volumes.keys()])
    })
  }

  #endUnassigned(isChanged: boolean): void {
    const serials = new Set(this.#assignment.certificateSerials.map(normalSerial))
    const reason = `Cannot go on serving source server ${this.sourceServerId}: `
    for (const { session } of this.#members) {
      if (!serials.has(session.serial)) {
        session.end(
          new WireError('NOT_ASSIGNED', `${reason}its certificate was replaced; connect with the new one`),
        )
      } else if (isChanged) {
        session.end(new WireError('NOT_ASSIGNED', `${reason}its volumes have changed; connect again`))
      }
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work)
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }

  /** Resolves when no write is under way. */
  #idle(): Promise<void> {
    if (this.#writesUnderWay === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  /** Refuses a stale generation; ends connections that a newer one, or a new one in the same place, takes over from. */
  async #fence(hello: Hello): Promise<void> {
    const { generation } = this.#saved
    if (hello.generation < generation) {
      throw new WireError(
        'STALE_GENERATION',
        'Cannot serve an older run of the agent: a newer one has connected',
        {
          expected: `at least ${generation}`,
          actual: hello.generation,
        },
      )
    }
    for (const member of this.#members) {
      if (member.generation < hello.generation) {
        member.session.end(
          new WireError(
            'STALE_GENERATION',
            'Cannot go on serving this run of the agent: a newer one has connected',
            {
              expected: hello.generation,
              actual: member.generation,
            },
          ),
        )
      } else if (member.connectionIndex === hello.connectionIndex) {
        member.session.end(
          new WireError(
            'STALE_GENERATION',
            `Cannot keep connection ${hello.connectionIndex}: it was opened anew`,
            {
              retryable: true,
            },
          ),
        )
      } else continue
      this.#members.delete(member)
    }
    if (hello.generation === generation) return
    // What the older run still has under way must not land after the newer one's writes.
    await this.#idle()
    await this.#save((saved) => ({ ...saved, generation: hello.generation }))
  }

  #requireMember(session: ServerSession): void {
    for (const member of this.#members) if (member.session === session) return
    throw new WireError('STALE_GENERATION', 'Cannot reach the barrier: its connection was ended', {
      retryable: true,
    })
  }

  async #volume(assigned: AssignedVolume, sizeBytes: number): Promise<Volume> {
    const open = this.#volumes.get(assigned.diskIndex)
    if (open !== undefined && open.failure === undefined && open.sizeBytes === sizeBytes) return open
    if (open !== undefined) {
      if (this.#members.size > 0) {
        throw new WireError(
          'OUT_OF_RANGE',
          `Cannot change the size of disk ${assigned.diskIndex} within a run`,
          {
            expected: open.sizeBytes,
            actual: sizeBytes,
            diskIndex: assigned.diskIndex,
          },
        )
      }
      await this.#closeVolumes([assigned.diskIndex])
    }
    try {
      const volume = await openVolume({
        volumeId: assigned.volumeId,
        diskIndex: assigned.diskIndex,
        sizeBytes,
        parts: await this.#options.openParts(assigned),
        isSuspect: this.#suspects.has(assigned.volumeId),
        onBroken: (error) => this.#volumeBroke(error),
        ...(this.#options.segmentBlocks === undefined ? {} : { segmentBlocks: this.#options.segmentBlocks }),
      })
      this.#suspects.delete(assigned.volumeId)
      this.#volumes.set(assigned.diskIndex, volume)
      return volume
    } catch (error) {
      const failure = diskError(
        error,
        `open volume ${assigned.volumeId} at ${assigned.devicePath}`,
        assigned.diskIndex,
      )
      this.#error = failure.message
      throw failure
    }
  }

  async #closeVolumes(diskIndexes: readonly number[]): Promise<void> {
    for (const diskIndex of diskIndexes) {
      const volume = this.#volumes.get(diskIndex)
      if (volume === undefined) continue
      this.#volumes.delete(diskIndex)
      if (volume.isSuspect) this.#suspects.add(volume.volumeId)
      try {
        await volume.close()
      } catch (error) {
        this.#options.log.error({ err: error, volumeId: volume.volumeId }, asWireError(error).message)
      }
    }
  }

  /** A disk failed: everyone reconnects, and the next HELLO opens the volume anew. */
  #volumeBroke(error: WireError): void {
    this.#error = error.message
    this.#options.log.error(
      { err: error, code: error.code, sourceServerId: this.sourceServerId },
      error.message,
    )
    for (const { session } of this.#members) session.end(error)
    this.#members.clear()
  }

  #hold(held: HeldPoint): void {
    this.#held = held
    this.#heldAtBeat = this.#beat
    const { consistencyPointId, method, frozenMs, roots } = held
    const abort = new AbortController()
    this.#endAnnouncing = () => abort.abort()
    const { sourceServerId } = this
    this.#options.log.info(
      { sourceServerId, consistencyPointId },
      'Holding writes back at a consistency point',
    )
    void this.#options.announce({ sourceServerId, consistencyPointId, method, frozenMs, roots }, abort.signal)
    // A connection may be waiting to ask for this very point again.
    this.gate.wake()
  }

  async #releaseIfTold(beat: number): Promise<void> {
    const held = this.#held
    if (held === undefined || beat <= this.#heldAtBeat || !isReleased(held, this.#assignment)) return
    try {
      await this.#save(({ generation }) => ({ generation }))
    } catch (error) {
      // Stays held; the next heartbeat's answer tries again.
      this.#error = asWireError(error).message
      return
    }
    this.#endAnnouncing?.()
    this.#held = undefined
    this.#options.log.info(
      { sourceServerId: this.sourceServerId, consistencyPointId: held.consistencyPointId },
      'Applying writes again after a consistency point',
    )
    this.gate.open()
  }

  /** Changes the checkpoint, one change after the other. */
  #save(change: (saved: ServerCheckpoint) => ServerCheckpoint): Promise<void> {
    const save = async (): Promise<void> => {
      const next = change(this.#saved)
      try {
        await this.#options.checkpoint.write(next)
      } catch (error) {
        throw diskError(error, `write the checkpoint of source server ${this.sourceServerId}`)
      }
      this.#saved = next
    }
    const result = this.#saving.then(save, save)
    this.#saving = result
    return result
  }
}
