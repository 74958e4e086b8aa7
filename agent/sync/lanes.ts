/**
 * The connections of a session. Blocks of one region of a disk always take the same of them, so that two versions of a block never overtake each
 * other; their number changes only while nothing is on its way.
 * @module
 */
import type { LineLog } from '../log.ts'
import type { ConnectInput } from './connect.ts'
import type { Connection } from './connection.ts'
import type { LinkObservation } from './connection_choice.ts'
import type { SentExtent } from './outstanding.ts'
import { errorMessage } from '../../domain/errors.ts'
import { openConnection, openConnections } from './connect.ts'

/** Blocks of a region: those of the largest extent, so that a walk over a disk keeps all connections busy. */
export const regionBlocks = 16

/** The connections. */
export class Lanes {
  readonly #input: ConnectInput
  readonly #log: LineLog
  readonly #connections: Connection[]
  /** Being opened beside the work. */
  #opening: Promise<void> | undefined
  /** Open, and not used yet. */
  #spare: Connection | undefined
  #isLeaving = false
  readonly #ending = new AbortController()
  /** What became durable through connections that are closed: payload bytes, bytes of all disks, and blocks by disk. */
  readonly #former = { payloadBytes: 0, bytes: 0, blocks: new Map<number, number>() }

  private constructor(input: ConnectInput, log: LineLog, connections: readonly Connection[]) {
    this.#input = input
    this.#log = log
    this.#connections = [...connections]
    for (const connection of this.#connections) this.#watch(connection)
  }

  /**
   * Connects and shakes hands, as often as the plan says for the begin.
   * @throws WireError as the replicator told it, LinkError when it cannot be reached.
   */
  static async open(input: ConnectInput, log: LineLog): Promise<Lanes> {
    return new Lanes(input, log, await openConnections(input))
  }

  /** All, the first one first. */
  get all(): readonly Connection[] {
    return this.#connections
  }

  /** The one that speaks for the session. */
  get first(): Connection {
    return this.at(0)
  }

  /** A connection by its number, see {@link indexOf}. */
  at(index: number): Connection {
    const connection = this.#connections[index]
    if (connection === undefined) throw new Error(`The session has no connection ${index}`)
    return connection
  }

  /** Which connection a block belongs to, until {@link adapt} is called. */
  indexOf(diskIndex: number, block: number): number {
    return (Math.floor(block / regionBlocks) + diskIndex) % this.#connections.length
  }

  /** Bytes of all disks that became durable in this session. */
  get acknowledgedBytes(): number {
    return this.#connections.reduce((sum, lane) => sum + lane.acknowledgedBytes, this.#former.bytes)
  }

  /** Payload that became durable in this session, as it crossed the wire. */
  get acknowledgedPayloadBytes(): number {
    const { payloadBytes } = this.#former
    return this.#connections.reduce((sum, lane) => sum + lane.acknowledgedPayloadBytes, payloadBytes)
  }

  /** Blocks of a disk that became durable in this session. */
  acknowledgedBlocks(diskIndex: number): number {
    const former = this.#former.blocks.get(diskIndex) ?? 0
    return this.#connections.reduce((sum, lane) => sum + lane.acknowledgedBlocks(diskIndex), former)
  }

  /** Resolves with the reason when the session is over: one lost connection ends all. */
  get closed(): Promise<Error> {
    return this.first.closed
  }

  /** Resolves when everything that was sent is durable. */
  async allAcknowledged(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.allAcknowledged()))
  }

  /**
   * The connection on which to ask about `extent`, once none of the others has any of its blocks on its way: the answer would not count them, and
   * what they carry could land after it. Ask without waiting for anything else.
   */
  async forQuestion(extent: SentExtent): Promise<Connection> {
    const own = this.at(this.indexOf(extent.diskIndex, extent.firstBlock))
    for (;;) {
      const busy = this.#connections.find((other) => other !== own && other.isCarrying(extent))
      if (busy === undefined) return own
      await busy.allAcknowledged()
    }
  }

  /**
   * Opens or closes one where the plan says so. To be called where nothing is being sent: what is on its way is waited for before the number
   * changes, because with it the connection of most blocks does.
   */
  async adapt(times: Omit<LinkObservation, 'acknowledgedBytes'>): Promise<void> {
    if (this.#ending.signal.aborted || this.#opening !== undefined) return
    const count = this.#connections.length
    const acknowledgedBytes = this.acknowledgedPayloadBytes
    const wanted = this.#input.plan.wanted(count, { ...times, acknowledgedBytes })
    if (wanted > count && this.#spare === undefined) this.#opening = this.#open(count)
    else if (wanted !== count) {
      await this.allAcknowledged()
      if (this.#connections.every((connection) => connection.isIdle)) this.#change(wanted - count)
    }
  }

  /** Says goodbye on all: everything that was sent becomes durable first. */
  async goodbye(): Promise<void> {
    this.#isLeaving = true
    const reason = new Error('The session is ending')
    this.#end(reason)
    await Promise.all(this.#connections.map((connection) => connection.goodbye()))
    this.destroy(reason)
  }

  /** Ends all at once. */
  destroy(reason: Error): void {
    this.#end(reason)
    for (const connection of this.#connections) connection.destroy(reason)
  }

  #end(reason: Error): void {
    this.#ending.abort(reason)
    this.#spare?.destroy(reason)
  }

  /** Connects beside the work. A connection that cannot be opened costs nothing but the trial. */
  async #open(index: number): Promise<void> {
    try {
      const signal = AbortSignal.any([this.#input.signal, this.#ending.signal])
      const connection = await openConnection({ ...this.#input, signal }, index)
      this.#spare = connection
      this.#watch(connection)
      if (this.#ending.signal.aborted) connection.destroy(new Error('The session is over'))
    } catch (error) {
      if (this.#ending.signal.aborted) return
      this.#log.info(`One more connection cannot be opened: ${errorMessage(error)}`)
      this.#input.plan.failed()
    } finally {
      this.#opening = undefined
    }
  }

  /** Nothing is on its way: one more or one less from now on. */
  #change(by: number): void {
    const spare = this.#spare
    this.#spare = undefined
    if (by > 0) {
      // It may have been lost meanwhile.
      if (spare === undefined) return
      this.#connections.push(spare)
    } else {
      // Its number is taken only while there are as many as when it was opened.
      void spare?.goodbye()
      this.#retire()
    }
    this.#log.info(`Sending over ${this.#connections.length} connections`)
  }

  #retire(): void {
    const last = this.#connections.pop()
    if (last === undefined) return
    this.#former.payloadBytes += last.acknowledgedPayloadBytes
    this.#former.bytes += last.acknowledgedBytes
    for (const { diskIndex } of last.welcome.disks) {
      const before = this.#former.blocks.get(diskIndex) ?? 0
      this.#former.blocks.set(diskIndex, before + last.acknowledgedBlocks(diskIndex))
    }
    void last.goodbye()
  }

  /** A lost connection ends the session: what is unacknowledged anywhere is sent again in the next. One that is not in use does not. */
  #watch(connection: Connection): void {
    void connection.closed.then((reason) => {
      if (this.#connections.includes(connection)) {
        if (!this.#isLeaving) this.destroy(reason)
      } else if (this.#spare === connection) {
        this.#spare = undefined
        this.#input.plan.failed()
      }
    })
  }
}
