/**
 * The agent's conversation with the gateway: measurements up, wishes down, again and again. The gateway is the only one the agent obeys.
 * @module
 */
import type { SourceDisk } from '../domain/source_server.ts'
import type { AgentDesired, AgentHeartbeat } from '../wire/control_api.ts'
import type { Random } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { ControlClient } from './control_client.ts'
import type { Log } from './log.ts'
import type { Note } from './sync/note_box.ts'
import type { EngineReport } from './sync/replication_report.ts'
import { errorMessage } from '../domain/errors.ts'
import { backoffMs } from './backoff.ts'
import { isoTime } from './clock.ts'
import { ControlError } from './control_error.ts'
import { Pause } from './pause.ts'

const retry = { baseMs: 1000, maxMs: 30_000 }

/** Shortest wait between two heartbeats, however much happens. */
const minIntervalMs = 200

/** A clock that is off by more than this is told: certificates and tokens depend on it. */
const skewToTellMs = 120_000

/** What the heartbeat reports and steers. */
export interface HeartbeatEngine {
  report(): EngineReport
  takeNotes(): Note[]
  giveBackNotes(notes: readonly Note[]): void
  /** Logs a sentence and tells it with the next heartbeat. */
  note(level: Note['level'], message: string): void
  apply(desired: AgentDesired): void
  /** The gateway has heard what became of consistency points up to this one. */
  toldPoints(sequence: number): void
}

/** The machine's disks, told whenever they have become others. */
export interface DiskNews {
  /** Undefined when the gateway knows them. */
  readonly untold: SourceDisk[] | undefined
  /** The gateway knows `disks` now. */
  told(disks: SourceDisk[]): void
}

/** What the heartbeat works with. */
export interface HeartbeatContext {
  client: ControlClient
  engine: HeartbeatEngine
  disks: DiskNews
  generation: number
  clock: Clock
  random: Random
  log: Log
  /** Renews the certificate when the gateway says so, or at half of its life. Never throws. */
  renewIfDue(isAsked: boolean): Promise<void>
}

/** Why the conversation ended. */
export type HeartbeatEnd = 'STOPPED' | 'UNINSTALL' | 'FENCED'

/** The heartbeat loop. */
export class Heartbeat {
  readonly #context: HeartbeatContext
  readonly #pause: Pause
  #isPoked = false
  #hasToldSkew = false
  #obstacle: string | undefined

  constructor(context: HeartbeatContext) {
    this.#context = context
    this.#pause = new Pause(context.clock)
  }

  /** Something has changed: the next heartbeat goes soon. */
  poke(): void {
    this.#isPoked = true
    this.#pause.end()
  }

  /**
   * Talks until told to end. Failures are told in the log and tried again for ever: without the gateway the agent goes on with what it was
   * last told.
   */
  async run(signal: AbortSignal): Promise<HeartbeatEnd> {
    const { engine, clock, log, random } = this.#context
    let failures = 0
    while (!signal.aborted) {
      let waitMs: number
      try {
        const desired = await this.#beat()
        if (failures > 0) log.info('The gateway answers again')
        failures = 0
        if (desired.mode === 'UNINSTALL') return 'UNINSTALL'
        this.#tellObstacle(desired)
        engine.apply(desired)
        await this.#context.renewIfDue(desired.renewCertificate)
        waitMs = desired.heartbeatIntervalMs
      } catch (error) {
        if (signal.aborted) break
        failures += 1
        if (error instanceof ControlError && error.status === 409) {
          log.error(`${errorMessage(error)}; a newer run of this agent has taken over`)
          return 'FENCED'
        }
        waitMs = backoffMs(failures, retry, random)
        if (failures <= 3 || failures % 20 === 0)
          log.warning(`Heartbeat failed, next in ${Math.ceil(waitMs / 1000)} s: ${errorMessage(error)}`)
      }
      await this.#rest(Math.max(minIntervalMs, waitMs), clock, signal)
    }
    return 'STOPPED'
  }

  async #beat(): Promise<AgentDesired> {
    const { client, engine, disks } = this.#context
    this.#isPoked = false
    const notes = engine.takeNotes()
    const sourceDisks = disks.untold
    try {
      const body = this.#body(notes)
      const desired = await client.heartbeat(sourceDisks === undefined ? body : { ...body, sourceDisks })
      const lastPoint = body.pointOutcomes?.at(-1)
      if (lastPoint !== undefined) engine.toldPoints(lastPoint.sequence)
      if (sourceDisks !== undefined) disks.told(sourceDisks)
      this.#tellSkew()
      return desired
    } catch (error) {
      engine.giveBackNotes(notes)
      throw error
    }
  }

  #body(notes: Note[]): AgentHeartbeat {
    const report = this.#context.engine.report()
    return {
      generation: this.#context.generation,
      state: report.state,
      isConnected: report.isConnected,
      ...(report.firstByteAtMs === undefined ? {} : { firstByteAt: isoTime(report.firstByteAtMs) }),
      ...(report.lastConsistentAtMs === undefined
        ? {}
        : { lastConsistentAt: isoTime(report.lastConsistentAtMs) }),
      lagMs: report.lagMs,
      backlogBytes: report.backlogBytes,
      bytesPerSecond: report.bytesPerSecond,
      sentBytes: report.sentBytes,
      changedBytes: report.changedBytes,
      timeLeftMs: report.timeLeftMs,
      ...(report.readingSlowed === undefined ? {} : { readingSlowed: report.readingSlowed }),
      ...(report.pace === undefined ? {} : { pace: report.pace }),
      rescanEpoch: report.rescanEpoch,
      disks: report.disks.map(
        ({ diskIndex, sizeBytes, replicatedBytes, rescannedBytes, backlogBytes, tracker }) => ({
          diskIndex,
          sizeBytes,
          replicatedBytes,
          rescannedBytes,
          backlogBytes,
          tracker: { kind: tracker.kind, reason: tracker.reason.slice(0, 400) },
        }),
      ),
      ...(report.consistencyFailure === undefined ? {} : { consistencyFailure: report.consistencyFailure }),
      ...(report.pointOutcomes.length === 0 ? {} : { pointOutcomes: report.pointOutcomes }),
      ...(report.verification === undefined ? {} : { verification: report.verification }),
      ...(report.error === undefined ? {} : { error: report.error }),
      notes,
    }
  }

  /** Once for each: the gateway repeats it with every answer. */
  #tellObstacle({ mode, obstacle }: AgentDesired): void {
    // While nothing is to be replicated nothing is said of what would be in the way.
    if (obstacle === undefined && mode !== 'REPLICATE') return
    const { log } = this.#context
    const before = this.#obstacle
    this.#obstacle = obstacle && `${obstacle.reason}. What to do: ${obstacle.whatToDo}`
    if (this.#obstacle === before) return
    if (this.#obstacle === undefined) log.info('What kept the disks from being replicated is over')
    else log.warning(`The disks are not replicated: ${this.#obstacle}`)
  }

  /** Once a run. */
  #tellSkew(): void {
    const skewMs = this.#context.client.clockSkewMs
    if (skewMs === undefined || Math.abs(skewMs) < skewToTellMs || this.#hasToldSkew) return
    this.#hasToldSkew = true
    const seconds = Math.round(Math.abs(skewMs) / 1000)
    const direction = skewMs > 0 ? 'behind' : 'ahead of'
    const message = `The clock of this server is ${seconds} s ${direction} the gateway's; set it right, or certificates will be refused`
    this.#context.engine.note('WARNING', message)
  }

  async #rest(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const begin = clock.monotonicMs()
    if (!this.#isPoked) await this.#pause.rest(ms, signal)
    // A burst of changes makes one heartbeat, not many.
    const restMs = minIntervalMs - (clock.monotonicMs() - begin)
    if (restMs > 0 && !signal.aborted) await clock.sleep(restMs)
  }
}
