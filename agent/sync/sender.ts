/**
 * Sends extents to a replicator over the connections of a session, in an order in which two versions of a block never overtake each other.
 * @module
 */
import type { UnreadBlocks } from '../../domain/unread_blocks.ts'
import type { Barrier, Status } from '../../wire/message.ts'
import type { SentExtent } from './outstanding.ts'
import type { ConnectInput } from './connect.ts'
import type { Connection } from './connection.ts'
import type { BarrierAnswer, Verified } from './questions.ts'
import type { Run } from './runs.ts'
import { blockSizeBytes, pieceSizeBytes, piecesPerBlock } from '../../domain/units.ts'
import { maxPiecesPerFrame } from '../../wire/limits.ts'
import { piecesHash } from '../../wire/piece_list.ts'
import { Compression } from './compression.ts'
import type { SenderContext } from './frame_queue.ts'
import { FrameQueue } from './frame_queue.ts'
import { KnownBlocks } from './known_blocks.ts'
import { Lanes, regionBlocks } from './lanes.ts'
import { splitRuns } from './runs.ts'

/** An extent with its bytes, read after its marks were cleared. */
export interface ExtentToSend extends SentExtent {
  bytes: Uint8Array
  /** The volume never held anything here, so blocks of zeros need not be sent. */
  isBlank: boolean
}

/** Pieces with their bytes, read after their marks were cleared. */
export interface PiecesToSend {
  diskIndex: number
  /** Ascending, all of one lane, at most {@link Sender.maxPiecesPerFrame}. */
  pieces: readonly number[]
  bytes: Uint8Array
}

const leastExtentsAtOnce = 4

/** One is being written to each connection while the next is made ready. */
const extentsPerConnection = 2

/** A session with a replicator. */
export class Sender {
  readonly #lanes: Lanes
  readonly #compression: Compression
  readonly #queue: FrameQueue
  readonly #known = new KnownBlocks()
  readonly #stopping = new AbortController()
  #leftOutBytes = 0
  #isLeaving = false

  private constructor(lanes: Lanes, context: SenderContext) {
    this.#lanes = lanes
    this.#compression = new Compression(context.clock, context.isCompressionOff)
    this.#queue = new FrameQueue({
      ...context,
      compression: this.#compression,
      acknowledgedPayloadBytes: () => lanes.acknowledgedPayloadBytes,
      signal: this.#stopping.signal,
    })
    void lanes.closed.then((reason) => this.#stopping.abort(reason))
  }

  /**
   * Connects and shakes hands.
   * @throws WireError as the replicator told it, LinkError when it cannot be reached.
   */
  static async open(input: ConnectInput, context: Omit<SenderContext, 'clock'>): Promise<Sender> {
    return new Sender(await Lanes.open(input, context.log), { clock: input.clock, ...context })
  }

  /** What the replicator has of disk `diskIndex`. */
  contentsOf(diskIndex: number): 'EMPTY' | 'PARTIAL' | undefined {
    return this.#first.welcome.disks.find((disk) => disk.diskIndex === diskIndex)?.contents
  }

  /** Name of what the replicator has of disk `diskIndex`. */
  copyIdOf(diskIndex: number): string | undefined {
    return this.#first.welcome.disks.find((disk) => disk.diskIndex === diskIndex)?.copyId
  }

  /** Blocks that fit one extent without exceeding the window; a power of two, so that extents cut at its multiples stay inside a region. */
  get maxBlocksPerExtent(): number {
    const inWindow = Math.max(1, Math.floor(this.#first.welcome.windowBytes / blockSizeBytes))
    return 2 ** Math.floor(Math.log2(Math.min(regionBlocks, inWindow)))
  }

  /** Pieces that fit one frame without exceeding the window; never fewer than those of a block. */
  get maxPiecesPerFrame(): number {
    const inWindow = Math.floor(this.#first.welcome.windowBytes / pieceSizeBytes)
    return Math.max(piecesPerBlock, Math.min(maxPiecesPerFrame, inWindow))
  }

  /** Extents worth having on their way at once: reading, hashing, compressing and sending overlap, and no connection waits for the next. */
  get extentsAtOnce(): number {
    return Math.max(leastExtentsAtOnce, extentsPerConnection * this.#lanes.all.length)
  }

  /** Which connection a block belongs to, until {@link adapt} is called: blocks of two lanes never share a frame. */
  laneOf(diskIndex: number, block: number): number {
    return this.#lanes.indexOf(diskIndex, block)
  }

  /** Resolves with the reason when the session is over. */
  get closed(): Promise<Error> {
    return this.#lanes.closed
  }

  /** Why the session is over; undefined while it lasts. */
  get failure(): Error | undefined {
    return this.#lanes.all.find((connection) => connection.failure !== undefined)?.failure
  }

  /** Opens or closes a connection where the link needs it. To be called between turns, while nothing is being sent. */
  async adapt(): Promise<void> {
    await this.#queue.empty()
    await this.#lanes.adapt({ busyMs: this.#compression.busyMs, waitMs: this.#queue.waitMs })
  }

  /** Everything sent and not acknowledged. */
  unacknowledged(): SentExtent[] {
    return this.#lanes.all.flatMap((connection) => connection.unacknowledged)
  }

  /** Bytes of a disk that were sent and not acknowledged. */
  unacknowledgedBytes(diskIndex: number): number {
    return this.#lanes.all.reduce((sum, connection) => sum + connection.unacknowledgedBytes(diskIndex), 0)
  }

  /** Bytes of all disks that became durable in this session. */
  get acknowledgedBytes(): number {
    return this.#lanes.acknowledgedBytes
  }

  /** Bytes of changed blocks that were not sent because they are as they were sent last. */
  get leftOutBytes(): number {
    return this.#leftOutBytes
  }

  /** Blocks of a disk that became durable in this session. */
  acknowledgedBlocks(diskIndex: number): number {
    return this.#lanes.acknowledgedBlocks(diskIndex)
  }

  /**
   * Hashes, compresses and sends an extent; runs of zero blocks go as ZEROS, or not at all where the volume is blank; blocks that are as they were
   * sent last are left out. Resolves when all of it has been handed to the socket and `bytes` is free again. Extents leave in the order of the
   * calls, while hashing and compressing overlap.
   */
  async sendExtent(extent: ExtentToSend): Promise<void> {
    const runs = splitRuns(extent, (block, hash) => this.#known.learn(extent.diskIndex, block, hash))
    try {
      await this.#sendLearnt(extent, runs)
      const blocks = runs.reduce((sum, { blockCount }) => sum + blockCount, 0)
      this.#leftOutBytes += (extent.blockCount - blocks) * blockSizeBytes
    } catch (error) {
      // Perhaps it was not handed over: the next call must not take it for sent.
      this.#known.forget(extent)
      throw error
    }
  }

  async #sendLearnt(extent: ExtentToSend, runs: readonly Run[]): Promise<void> {
    if (runs.length === 0) {
      if (this.#isLeaving) throw new Error('The session is ending')
      if (this.failure !== undefined) throw this.failure
      return
    }
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
    await this.#queue.inTurn(encoded, async (payloads, written) => {
      for (const [index, run] of runs.entries()) {
        if (run.isZero && extent.isBlank) continue
        await this.#emitRun(extent.diskIndex, run, payloads[index], written)
      }
    })
  }

  /**
   * Hashes, compresses and sends pieces. Resolves when they have been handed to the socket and `bytes` is free again; they leave in the order of the
   * calls, as extents do.
   */
  async sendPieces({ diskIndex, pieces, bytes }: PiecesToSend): Promise<void> {
    const hash = piecesHash(pieces, bytes)
    for (const piece of pieces)
      this.#known.forget({ diskIndex, firstBlock: Math.floor(piece / piecesPerBlock), blockCount: 1 })
    this.#compression.begin()
    try {
      const encoded = this.#compression.encode(bytes)
      const firstBlock = Math.floor((pieces[0] ?? 0) / piecesPerBlock)
      await this.#queue.inTurn(encoded, async (payload, written) => {
        const own = { type: 'PIECES' as const, diskIndex, pieces, rawBytes: bytes.length, hash }
        await this.#queue.emit(this.#connectionOf(diskIndex, firstBlock), { ...own, ...payload }, written)
      })
    } finally {
      this.#compression.end()
    }
  }

  /** Asks which blocks differ from these hashes. */
  async queryHashes(query: SentExtent & { hashes: Uint8Array }): Promise<Uint8Array> {
    const { diskIndex, firstBlock, blockCount, hashes } = query
    const connection = await this.#lanes.forQuestion(query)
    const differing = await connection.queryHashes({ diskIndex, firstBlock, blockCount, hashes })
    this.#known.forgetSet(query, differing)
    return differing
  }

  /** Asks whether the data of these blocks have these hashes. What was sent of the blocks before, and handed to the socket, counts. */
  async verify(query: SentExtent & { hashes: Uint8Array }): Promise<Verified> {
    const { diskIndex, firstBlock, blockCount, hashes } = query
    const connection = await this.#lanes.forQuestion(query)
    const verified = await connection.verify({ diskIndex, firstBlock, blockCount, hashes })
    this.#known.forgetSet(query, verified.differing)
    this.#known.forgetSet(query, verified.damaged)
    return verified
  }

  /** Blocks that the replicator asks for again; who takes them must send them. */
  takeDamaged(): SentExtent[] {
    const damaged = this.#lanes.all.flatMap((connection) => connection.takeDamaged())
    for (const extent of damaged) this.#known.forget(extent)
    return damaged
  }

  /** Resolves when everything sent so far is durable. */
  async allAcknowledged(): Promise<void> {
    await this.#queue.empty()
    await this.#lanes.allAcknowledged()
  }

  /** Says that a barrier is near, so that what it needs is read before; answers how much that is. */
  prepare(): Promise<UnreadBlocks> {
    return this.#first.prepare()
  }

  /** Sends a barrier after everything is durable, and waits until it is reached, or said not to be. */
  async barrier(body: Barrier): Promise<BarrierAnswer> {
    await this.allAcknowledged()
    return this.#first.barrier(body)
  }

  /** Tells the agent's own figures. */
  sendStatus(status: Status): void {
    this.#first.sendStatus(status)
  }

  /** Ends the session in order: everything sent becomes durable first. */
  async goodbye(): Promise<void> {
    this.#isLeaving = true
    await this.#lanes.goodbye()
  }

  /** Ends the session at once. */
  destroy(reason: Error): void {
    this.#stopping.abort(reason)
    this.#lanes.destroy(reason)
  }

  get #first(): Connection {
    return this.#lanes.first
  }

  #connectionOf(diskIndex: number, block: number): Connection {
    return this.#lanes.at(this.laneOf(diskIndex, block))
  }

  /** Sends one run, `encoded` unless it is of zeros. */
  async #emitRun(
    diskIndex: number,
    run: Run,
    encoded: Awaited<ReturnType<Compression['encode']>> | undefined,
    written: Promise<void>[],
  ): Promise<void> {
    const { firstBlock, blockCount, hashes } = run
    const extent = { diskIndex, firstBlock, blockCount }
    const connection = this.#connectionOf(diskIndex, firstBlock)
    if (encoded === undefined) {
      await connection.room(0)
      connection.sendWrite({ type: 'ZEROS', ...extent }, () => undefined)
      return
    }
    const rawBytes = run.bytes.length
    await this.#queue.emit(connection, { type: 'BLOCKS', ...extent, rawBytes, hashes, ...encoded }, written)
  }
}
