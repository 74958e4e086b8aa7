/**
 * Sends extents to a replicator over one or more connections. Blocks of one region of a disk always take the same connection, so that two versions
 * of a block never overtake each other.
 * @module
 */
import type { Barrier, BarrierReached, Status } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { SentExtent } from './outstanding.ts'
import type { Meter } from './meter.ts'
import type { Throttle } from './throttle.ts'
import type { ConnectInput } from './connect.ts'
import type { Connection } from './connection.ts'
import type { Run } from './runs.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { Compression } from './compression.ts'
import { openConnections } from './connect.ts'
import { splitRuns } from './runs.ts'

/** Blocks of a region: as many as one question may ask about, so that a question and its blocks share a connection. */
export const regionBlocks = 4096

/** What was counted since the agent started. */
export interface SendCounters {
  /** Payload as it crossed the wire. */
  sentBytes: number
  /** Wall clock time of the first payload byte. */
  firstByteAtMs?: number
}

/** What a sender works with. */
export interface SenderContext {
  clock: Clock
  throttle: Throttle
  /** Raw bytes handed to the wire. */
  meter: Meter
  counters: SendCounters
}

/** An extent with its bytes, read after its marks were cleared. */
export interface ExtentToSend extends SentExtent {
  bytes: Uint8Array
  /** The volume never held anything here, so blocks of zeros need not be sent. */
  isBlank: boolean
}

/** A session with a replicator. */
export class Sender {
  readonly #connections: Connection[]
  readonly #context: SenderContext
  readonly #compression: Compression
  #tail: Promise<void> = Promise.resolve()
  readonly #stopping = new AbortController()

  private constructor(connections: Connection[], context: SenderContext) {
    this.#connections = connections
    this.#context = context
    this.#compression = new Compression(context.clock)
    for (const connection of connections) {
      // One lost connection ends the session: what is unacknowledged anywhere is sent again in the next.
      void connection.closed.then((reason) => this.destroy(reason))
    }
  }

  /**
   * Connects and shakes hands, as often as `input` says.
   * @throws WireError as the replicator told it, LinkError when it cannot be reached.
   */
  static async open(input: ConnectInput, context: Omit<SenderContext, 'clock'>): Promise<Sender> {
    return new Sender(await openConnections(input), { clock: input.clock, ...context })
  }

  /** What the replicator has of disk `diskIndex`. */
  contentsOf(diskIndex: number): 'EMPTY' | 'PARTIAL' | undefined {
    return this.#first.welcome.disks.find((disk) => disk.diskIndex === diskIndex)?.contents
  }

  /** Blocks that fit one extent without exceeding the window. */
  get maxBlocksPerExtent(): number {
    return Math.max(1, Math.min(16, Math.floor(this.#first.welcome.windowBytes / blockSizeBytes)))
  }

  /** Resolves with the reason when the session is over. */
  get closed(): Promise<Error> {
    return Promise.race(this.#connections.map((connection) => connection.closed))
  }

  /** Why the session is over; undefined while it lasts. */
  get failure(): Error | undefined {
    return this.#connections.find((connection) => connection.failure !== undefined)?.failure
  }

  /** Everything sent and not acknowledged. */
  unacknowledged(): SentExtent[] {
    return this.#connections.flatMap((connection) => [...connection.unacknowledged])
  }

  /** Blocks of a disk that became durable in this session. */
  acknowledgedBlocks(diskIndex: number): number {
    return this.#connections.reduce((sum, connection) => sum + connection.acknowledgedBlocks(diskIndex), 0)
  }

  /**
   * Hashes, compresses and sends an extent; runs of zero blocks go as ZEROS, or not at all where the volume is blank. Resolves when all of it has
   * been handed to the socket and `bytes` is free again. Extents leave in the order of the calls, while hashing and compressing overlap.
   */
  async sendExtent(extent: ExtentToSend): Promise<void> {
    const runs = splitRuns(extent)
    // Zeros take time to read and nothing to send: they say nothing of the link.
    if (runs.every((run) => run.isZero)) return this.#sendRuns(extent, runs)
    this.#compression.begin()
    try {
      await this.#sendRuns(extent, runs)
    } finally {
      this.#compression.end()
    }
  }

  async #sendRuns(extent: ExtentToSend, runs: readonly Run[]): Promise<void> {
    const encoded = Promise.all(
      runs.map((run) => (run.isZero ? Promise.resolve(undefined) : this.#compression.encode(run.bytes))),
    )
    // It is awaited below, perhaps later than it fails.
    encoded.catch(() => undefined)
    const before = this.#tail
    const own = (async () => {
      await before
      const payloads = await encoded
      const written: Promise<void>[] = []
      try {
        for (const [index, run] of runs.entries()) {
          if (run.isZero && extent.isBlank) continue
          const { isWritten } = await this.#emit(extent.diskIndex, run, payloads[index])
          written.push(isWritten)
        }
      } catch (error) {
        // The runs before it are still being written from memory that the caller takes back.
        await Promise.all(written)
        throw error
      }
      return written
    })()
    this.#tail = own.then(
      () => undefined,
      // The failure is told to this extent's caller; the next finds the connection broken by itself.
      () => undefined,
    )
    await Promise.all(await own)
  }

  /** Asks which blocks differ from these hashes. */
  queryHashes(query: SentExtent & { hashes: Uint8Array }): Promise<Uint8Array> {
    const { diskIndex, firstBlock, blockCount, hashes } = query
    return this.#connectionOf(query).queryHashes({ diskIndex, firstBlock, blockCount, hashes })
  }

  /** Resolves when everything sent so far is durable. */
  async allAcknowledged(): Promise<void> {
    await this.#tail
    await Promise.all(this.#connections.map((connection) => connection.allAcknowledged()))
  }

  /** Sends a barrier after everything is durable, and waits until it is reached. */
  async barrier(body: Barrier): Promise<BarrierReached> {
    await this.allAcknowledged()
    return this.#first.barrier(body)
  }

  /** Tells the agent's own figures. */
  sendStatus(status: Status): void {
    this.#first.sendStatus(status)
  }

  /** Ends the session in order: everything sent becomes durable first. */
  async goodbye(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.goodbye()))
  }

  /** Ends the session at once. */
  destroy(reason: Error): void {
    this.#stopping.abort(reason)
    for (const connection of this.#connections) connection.destroy(reason)
  }

  get #first(): Connection {
    const [first] = this.#connections
    if (first === undefined) throw new Error('A sender has at least one connection')
    return first
  }

  #connectionOf(extent: SentExtent): Connection {
    const region = Math.floor(extent.firstBlock / regionBlocks) + extent.diskIndex
    return this.#connections[region % this.#connections.length] ?? this.#first
  }

  /** Sends one run; `isWritten` ends when the run's memory is free. It is wrapped, so that nobody waits for it here. */
  async #emit(
    diskIndex: number,
    run: Run,
    encoded: Awaited<ReturnType<Compression['encode']>> | undefined,
  ): Promise<{ isWritten: Promise<void> }> {
    const { firstBlock, blockCount } = run
    const extent = { diskIndex, firstBlock, blockCount }
    const connection = this.#connectionOf(extent)
    if (encoded === undefined) {
      await connection.room(0)
      connection.sendExtent({ type: 'ZEROS', ...extent }, () => undefined)
      return { isWritten: Promise.resolve() }
    }
    const { encoding, payload } = encoded
    const linkWaitMs = await this.#waitForLink(connection, payload.length, run.bytes.length)
    const message = {
      type: 'BLOCKS' as const,
      ...extent,
      rawBytes: run.bytes.length,
      encoding,
      hashes: run.hashes,
      payload,
    }
    const written = Promise.withResolvers<void>()
    connection.sendExtent(message, written.resolve)
    this.#context.counters.sentBytes += payload.length
    this.#context.counters.firstByteAtMs ??= this.#context.clock.nowMs()
    this.#context.meter.add(run.bytes.length)
    this.#compression.sent(run.bytes.length, linkWaitMs)
    return { isWritten: written.promise }
  }

  /** Waits until a run may go; answers for how many milliseconds the throttle or the link was what held it up. */
  async #waitForLink(connection: Connection, payloadBytes: number, rawBytes: number): Promise<number> {
    const { clock, throttle } = this.#context
    const begin = clock.monotonicMs()
    await throttle.take(payloadBytes, this.#stopping.signal)
    const throttledMs = clock.monotonicMs() - begin
    await connection.room(rawBytes)
    // With nothing left to write it was the far end that was waited for, which compressing does not speed up.
    return connection.isLinkBusy ? clock.monotonicMs() - begin : throttledMs
  }
}
