/**
 * One connection to a replicator: handshake, a window of unacknowledged bytes, sequence numbers and acknowledgements, questions and their answers,
 * and the pulse that finds a dead far end.
 * @module
 */
import type { TLSSocket } from 'node:tls'
import type { Extent } from '../../domain/units.ts'
import type { Barrier, BarrierReached, Hello, Message, Status, Welcome } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import { errorMessage } from '../../domain/errors.ts'
import type { FrameDecoder, FrameEncoder } from '../../wire/frame.ts'
import { isUpTo, WireError } from '../../wire/frame.ts'
import type { Greeting } from './handshake.ts'
import { greet, writeFrame } from './handshake.ts'

/** Times of the pulse. */
export const pulse = { pingEveryMs: 5000, deadAfterMs: 15_000 } as const

/** How long a GOODBYE may take until the far end has closed. */
const goodbyeTimeoutMs = 5000

/** Bytes waiting in this process beyond which nothing is added, so that a PING does not stand behind a whole window. */
const maxQueuedBytes = 4 * 1024 * 1024

/** Blocks that are on their way. */
export interface SentExtent extends Extent {
  diskIndex: number
}

interface Unacknowledged extends SentExtent {
  sequence: number
  bytes: number
}

interface Question {
  diskIndex: number
  firstBlock: number
  blockCount: number
  resolve(bitmap: Uint8Array): void
  reject(error: Error): void
}

interface Waiter {
  isReady(): boolean
  resolve(): void
  reject(error: Error): void
}

/** One connection, from WELCOME on. */
export class Connection {
  /** What the replicator said it has and takes. */
  readonly welcome: Welcome
  readonly #socket: TLSSocket
  readonly #clock: Clock
  readonly #encoder: FrameEncoder
  readonly #decoder: FrameDecoder
  readonly #unacknowledged: Unacknowledged[] = []
  readonly #questions: Question[] = []
  readonly #barriers = new Map<string, { resolve(body: BarrierReached): void; reject(error: Error): void }>()
  #waiters: Waiter[] = []
  #unacknowledgedBytes = 0
  readonly #acknowledgedBlocks = new Map<number, number>()
  #lastReceivedMs: number
  readonly #timer: NodeJS.Timeout
  #failure: Error | undefined
  #isSayingGoodbye = false
  /** Told when their memory is free: once written, or with the end of the connection. */
  readonly #unwritten = new Set<() => void>()
  readonly #closed: Promise<Error>
  #resolveClosed: (error: Error) => void = () => undefined

  private constructor(socket: TLSSocket, clock: Clock, greeting: Greeting) {
    this.#socket = socket
    this.#clock = clock
    this.#encoder = greeting.encoder
    this.#decoder = greeting.decoder
    this.welcome = greeting.welcome
    this.#lastReceivedMs = clock.monotonicMs()
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#socket.on('error', (error) =>
      this.#fail(new Error('The connection to the replication server broke', { cause: error })),
    )
    this.#socket.on('close', () => this.#fail(new Error('The replication server closed the connection')))
    this.#socket.on('drain', () => this.#wake())
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#timer = setInterval(() => this.#beat(), pulse.pingEveryMs)
    this.#timer.unref()
  }

  /**
   * Says HELLO on a connected socket and waits for WELCOME.
   * @throws WireError as the replicator told it, or when its answer is no WELCOME; Error when the connection breaks.
   */
  static async open(socket: TLSSocket, hello: Hello, clock: Clock): Promise<Connection> {
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

  /** Raw bytes sent and not acknowledged. */
  get unacknowledgedBytes(): number {
    return this.#unacknowledgedBytes
  }

  /** What was sent and not acknowledged, in the order of sending. After a failure it must be sent again. */
  get unacknowledged(): readonly SentExtent[] {
    return this.#unacknowledged
  }

  /** Blocks of a disk that became durable through this connection. */
  acknowledgedBlocks(diskIndex: number): number {
    return this.#acknowledgedBlocks.get(diskIndex) ?? 0
  }

  /** Whether bytes wait in this process because the link has not taken them yet. */
  get isLinkBusy(): boolean {
    return this.#socket.writableLength > 0
  }

  /** Resolves when `bytes` more fit the window and the queue of this process. */
  room(bytes: number): Promise<void> {
    return this.#until(
      () =>
        this.#isSayingGoodbye ||
        (this.#socket.writableLength < maxQueuedBytes &&
          (this.#unacknowledgedBytes === 0 || this.#unacknowledgedBytes + bytes <= this.welcome.windowBytes)),
    )
  }

  /**
   * Sends BLOCKS or ZEROS; from this moment the blocks are unacknowledged. Ask for {@link room} first.
   *
   * @param onWritten called once the payload's memory is free again, be it because the connection ended.
   */
  sendExtent(message: Extract<Message, { type: 'BLOCKS' | 'ZEROS' }>, onWritten: () => void): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isSayingGoodbye) throw new Error('The session is ending')
    const frame = this.#encoder.encode(message)
    const bytes = message.type === 'BLOCKS' ? message.rawBytes : 0
    const { diskIndex, firstBlock, blockCount } = message
    this.#unacknowledged.push({ diskIndex, firstBlock, blockCount, sequence: frame.sequence, bytes })
    this.#unacknowledgedBytes += bytes
    this.#unwritten.add(onWritten)
    writeFrame(this.#socket, frame, () => {
      if (this.#unwritten.delete(onWritten)) onWritten()
    })
  }

  /** Resolves when everything sent so far is durable at the replicator. */
  allAcknowledged(): Promise<void> {
    const last = this.#unacknowledged.at(-1)?.sequence
    if (last === undefined)
      return this.#failure === undefined ? Promise.resolve() : Promise.reject(this.#failure)
    return this.#until(() => {
      const first = this.#unacknowledged[0]
      return first === undefined || !isUpTo(first.sequence, last)
    })
  }

  /** Asks which of the blocks with these hashes differ; answers a bitmap, least significant bit first. */
  queryHashes(query: {
    diskIndex: number
    firstBlock: number
    blockCount: number
    hashes: Uint8Array
  }): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#questions.push({ ...query, resolve, reject })
      this.#send({ type: 'HASHES', ...query })
    })
  }

  /** Sends BARRIER and waits until the point is reached. */
  barrier(body: Barrier): Promise<BarrierReached> {
    return new Promise((resolve, reject) => {
      this.#barriers.set(body.consistencyPointId, { resolve, reject })
      this.#send({ type: 'BARRIER', body })
    })
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
      this.#wake()
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
    writeFrame(this.#socket, this.#encoder.encode(message))
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
        this.#acknowledge(message.upToSequence)
        return
      case 'DIFFERENCES': {
        const question = this.#questions.shift()
        const isAnswer =
          question?.diskIndex === message.diskIndex &&
          question.firstBlock === message.firstBlock &&
          question.blockCount === message.blockCount
        if (!isAnswer || question === undefined) {
          throw new WireError(
            'BAD_FRAME',
            `Cannot match DIFFERENCES from block ${message.firstBlock} with a question`,
          )
        }
        question.resolve(Uint8Array.from(message.bitmap))
        return
      }
      case 'BARRIER_REACHED': {
        const waiting = this.#barriers.get(message.body.consistencyPointId)
        this.#barriers.delete(message.body.consistencyPointId)
        waiting?.resolve(message.body)
        return
      }
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

  #acknowledge(upToSequence: number): void {
    for (;;) {
      const first = this.#unacknowledged[0]
      if (first === undefined || !isUpTo(first.sequence, upToSequence)) break
      this.#unacknowledged.shift()
      this.#unacknowledgedBytes -= first.bytes
      const blocks = this.acknowledgedBlocks(first.diskIndex) + first.blockCount
      this.#acknowledgedBlocks.set(first.diskIndex, blocks)
    }
    this.#wake()
  }

  #beat(): void {
    const silentMs = this.#clock.monotonicMs() - this.#lastReceivedMs
    if (silentMs > pulse.deadAfterMs - pulse.pingEveryMs) {
      this.#fail(new Error(`The replication server has not answered for ${Math.round(silentMs / 1000)} s`))
      return
    }
    this.#send({ type: 'PING' })
  }

  #until(isReady: () => boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (isReady()) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiters.push({ isReady, resolve, reject }))
  }

  #wake(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) {
      if (waiter.isReady()) waiter.resolve()
      else this.#waiters.push(waiter)
    }
  }

  #rejectAll(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
    for (const question of this.#questions.splice(0)) question.reject(error)
    for (const waiting of this.#barriers.values()) waiting.reject(error)
    this.#barriers.clear()
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
