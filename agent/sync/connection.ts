/**
 * One connection to a replicator: a window of unacknowledged bytes, sequence numbers and acknowledgements, questions and their answers, and the
 * pulse that finds a dead far end.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { UnreadBlocks } from '../../domain/unread_blocks.ts'
import type { Barrier, Hello, Message, Status, Welcome } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { Greeting } from './handshake.ts'
import type { SentExtent, WriteMessage } from './outstanding.ts'
import { errorMessage } from '../../domain/errors.ts'
import type { FrameDecoder, FrameEncoder } from '../../wire/frame.ts'
import { WireError } from '../../wire/frame.ts'
import { FrameOutput } from './frame_output.ts'
import { greet } from './handshake.ts'
import { LinkError } from './link_error.ts'
import { Outstanding, sentFrame } from './outstanding.ts'
import type { BarrierAnswer, Verified } from './questions.ts'
import { Questions } from './questions.ts'
import { Waiters } from './waiters.ts'

/** Times of the pulse. */
export const pulse = { pingEveryMs: 5000, deadAfterMs: 15_000 } as const

/** How long a GOODBYE may take until the far end has closed. */
const goodbyeTimeoutMs = 5000

/** Bytes waiting in this process beyond which nothing is added, so that a PING does not stand behind a whole window. */
const maxQueuedBytes = 4 * 1024 * 1024

/** Frames on their way at most. Zeros take nothing of the window, and a disk may have millions of them. */
const maxOutstandingFrames = 4096

/** Damaged extents that may wait to be looked at; the replicator tells them again. */
const maxDamaged = 10_000

/** One connection, from WELCOME on. */
export class Connection {
  /** What the replicator said it has and takes. */
  readonly welcome: Welcome
  readonly #socket: Duplex
  readonly #clock: Clock
  readonly #encoder: FrameEncoder
  readonly #decoder: FrameDecoder
  readonly #outstanding = new Outstanding()
  readonly #questions = new Questions()
  readonly #waiters = new Waiters()
  readonly #output: FrameOutput
  readonly #damaged: SentExtent[] = []
  #lastReceivedMs: number
  readonly #timer: NodeJS.Timeout
  #failure: Error | undefined
  #isSayingGoodbye = false
  /** Told when their memory is free: once written, or with the end of the connection. */
  readonly #unwritten = new Set<() => void>()
  readonly #closed: Promise<Error>
  #resolveClosed: (error: Error) => void = () => undefined

  private constructor(socket: Duplex, clock: Clock, greeting: Greeting) {
    this.#socket = socket
    this.#clock = clock
    this.#encoder = greeting.encoder
    this.#decoder = greeting.decoder
    this.#output = new FrameOutput(socket, () => this.#waiters.wake())
    this.welcome = greeting.welcome
    this.#lastReceivedMs = clock.monotonicMs()
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#socket.on('error', (error) =>
      this.#fail(new LinkError('The connection to the replication server broke', { cause: error })),
    )
    this.#socket.on('close', () => this.#fail(new LinkError('The replication server closed the connection')))
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#timer = setInterval(() => this.#beat(), pulse.pingEveryMs)
    this.#timer.unref()
  }

  /**
   * Says HELLO on a connected socket and waits for WELCOME.
   * @throws WireError as the replicator told it, or when its answer is no WELCOME; Error when the connection breaks.
   */
  static async open(socket: Duplex, hello: Hello, clock: Clock): Promise<Connection> {
    return new Connection(socket, clock, await greet(socket, hello))
  }

  /** Resolves with the reason when the connection is over. Never rejects. */
  get closed(): Promise<Error> {
    return this.#closed
  }

  /** Why the connection is over; undefined while it lasts. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** What was sent and not acknowledged, in the order of sending. After a failure it must be sent again. */
  get unacknowledged(): SentExtent[] {
    return this.#outstanding.extents
  }

  /** Whether everything that was sent is acknowledged. */
  get isIdle(): boolean {
    return this.#outstanding.frames === 0
  }

  /** Whether any of these blocks was sent and is not acknowledged. */
  isCarrying(extent: SentExtent): boolean {
    return this.#outstanding.has(extent)
  }

  /** Bytes of a disk that were sent and not acknowledged. */
  unacknowledgedBytes(diskIndex: number): number {
    return this.#outstanding.bytesOf(diskIndex)
  }

  /** Bytes of all disks that became durable through this connection. */
  get acknowledgedBytes(): number {
    return this.#outstanding.acknowledgedBytes
  }

  /** Payload that became durable through this connection, as it crossed the wire. */
  get acknowledgedPayloadBytes(): number {
    return this.#outstanding.acknowledgedPayloadBytes
  }

  /** Blocks of a disk that became durable through this connection. */
  acknowledgedBlocks(diskIndex: number): number {
    return this.#outstanding.acknowledgedBlocks(diskIndex)
  }

  /** Resolves when `bytes` more fit the window and the queue of this process. */
  room(bytes: number): Promise<void> {
    return this.#until(
      () =>
        this.#isSayingGoodbye ||
        (this.#output.waitingBytes < maxQueuedBytes &&
          this.#outstanding.frames < maxOutstandingFrames &&
          (this.#outstanding.rawBytes === 0 ||
            this.#outstanding.rawBytes + bytes <= this.welcome.windowBytes)),
    )
  }

  /**
   * Sends BLOCKS, PIECES or ZEROS; from this moment the blocks are unacknowledged. Ask for {@link room} first.
   *
   * @param onWritten called once the payload's memory is free again, be it because the connection ended.
   */
  sendWrite(message: WriteMessage, onWritten: () => void): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isSayingGoodbye) throw new Error('The session is ending')
    const frame = this.#encoder.encode(message)
    this.#outstanding.add(sentFrame(message, frame.sequence))
    this.#unwritten.add(onWritten)
    this.#output.add(frame, () => {
      if (this.#unwritten.delete(onWritten)) onWritten()
    })
  }

  /** Resolves when everything sent so far is durable at the replicator. */
  allAcknowledged(): Promise<void> {
    const last = this.#outstanding.lastSequence
    return this.#until(() => last === undefined || this.#outstanding.isAcknowledged(last))
  }

  /** Asks which of the blocks with these hashes differ; answers a bitmap, least significant bit first. */
  queryHashes(query: SentExtent & { hashes: Uint8Array }): Promise<Uint8Array> {
    const answer = this.#questions.differences(query)
    this.#send({ type: 'HASHES', ...query })
    return answer
  }

  /** Asks whether the data of the blocks have these hashes. */
  verify(query: SentExtent & { hashes: Uint8Array }): Promise<Verified> {
    const answer = this.#questions.verified(query)
    this.#send({ type: 'VERIFY', ...query })
    return answer
  }

  /** Blocks that the replicator asks for again; who takes them must send them. */
  takeDamaged(): SentExtent[] {
    return this.#damaged.splice(0)
  }

  /** Says that a barrier is near; answers what is still to be read for it. */
  prepare(): Promise<UnreadBlocks> {
    const answer = this.#questions.prepare()
    this.#send({ type: 'PREPARE' })
    return answer
  }

  /** Sends BARRIER and waits until the point is reached, or said not to be. */
  barrier(body: Barrier): Promise<BarrierAnswer> {
    const answer = this.#questions.barrier(body)
    this.#send({ type: 'BARRIER', body })
    return answer
  }

  /** Tells the agent's own figures. */
  sendStatus(body: Status): void {
    this.#send({ type: 'STATUS', body })
  }

  /** Says GOODBYE and waits until the replicator, having made everything durable, closes; not for ever. */
  async goodbye(): Promise<void> {
    if (this.#failure !== undefined) return
    if (!this.#isSayingGoodbye) {
      this.#isSayingGoodbye = true
      this.#send({ type: 'GOODBYE' })
      this.#waiters.wake()
    }
    const timer = setTimeout(() => this.#socket.destroy(), goodbyeTimeoutMs)
    await this.#closed
    clearTimeout(timer)
  }

  /** Ends the connection at once. */
  destroy(reason: Error): void {
    this.#fail(reason)
  }

  #send(message: Message): void {
    if (this.#failure !== undefined) {
      this.#rejectAll(this.#failure)
      return
    }
    this.#output.add(this.#encoder.encode(message))
  }

  #receive(chunk: Buffer): void {
    this.#lastReceivedMs = this.#clock.monotonicMs()
    try {
      for (const { message } of this.#decoder.push(chunk)) this.#handle(message)
    } catch (error) {
      this.#fail(
        new Error(`Cannot understand the replication server: ${errorMessage(error)}`, { cause: error }),
      )
    }
  }

  #handle(message: Message): void {
    switch (message.type) {
      case 'ACK':
        this.#outstanding.acknowledge(message.upToSequence)
        this.#waiters.wake()
        return
      case 'DIFFERENCES':
        this.#questions.answerDifferences(message)
        return
      case 'VERIFIED':
        this.#questions.answerVerified(message)
        return
      case 'DAMAGED':
        if (this.#damaged.length < maxDamaged) {
          const { diskIndex, firstBlock, blockCount } = message
          this.#damaged.push({ diskIndex, firstBlock, blockCount })
        }
        return
      case 'BARRIER_REACHED':
        this.#questions.answerBarrier(message.body)
        return
      case 'TO_READ':
        this.#questions.answerToRead(message.body)
        return
      case 'PONG':
        return
      case 'PING':
        this.#send({ type: 'PONG' })
        return
      case 'ERROR':
        this.#fail(WireError.fromBody(message.body))
        return
      default:
        throw new WireError('BAD_FRAME', `Cannot accept ${message.type} from a replicator`)
    }
  }

  #beat(): void {
    const silentMs = this.#clock.monotonicMs() - this.#lastReceivedMs
    if (silentMs > pulse.deadAfterMs - pulse.pingEveryMs) {
      this.#fail(
        new LinkError(`The replication server has not answered for ${Math.round(silentMs / 1000)} s`),
      )
      return
    }
    this.#send({ type: 'PING' })
  }

  #until(isReady: () => boolean): Promise<void> {
    return this.#failure === undefined ? this.#waiters.until(isReady) : Promise.reject(this.#failure)
  }

  #rejectAll(error: Error): void {
    this.#waiters.rejectAll(error)
    this.#questions.rejectAll(error)
    for (const onWritten of this.#unwritten) onWritten()
    this.#unwritten.clear()
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = this.#isSayingGoodbye ? new Error('Said goodbye') : error
    clearInterval(this.#timer)
    this.#socket.destroy()
    this.#rejectAll(this.#failure)
    this.#resolveClosed(this.#failure)
  }
}
