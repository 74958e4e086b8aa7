/**
 * One connection of an agent: the protocol's state machine at the replicator's end.
 *
 * ```
 * WAITING ── HELLO, admitted ──▶ OPEN ── GOODBYE ──▶ LEAVING ── all durable ──▶ CLOSED
 *    └───── refusal, bad frame, broken volume, end of the stream, shutdown ──────▶ CLOSED
 * ```
 * Frames are handled in order. One that can't be handled yet (a write while the gate is closed) keeps the ones behind it waiting and the
 * socket unread; nothing is dropped.
 * @module
 */
import type { Logger } from 'pino'
import type { Duplex } from 'node:stream'
import { FrameDecoder, FrameEncoder } from '../wire/frame.ts'
import type { Frame } from '../wire/frame.ts'
import { writeFrame } from '../wire/frame_stream.ts'
import type { Message, MessageType } from '../wire/message.ts'
import { protocolVersion } from '../wire/version.ts'
import { asWireError, WireError } from '../wire/wire_error.ts'
import { AckWindow } from './ack_window.ts'
import { requireAssigned } from './assignment.ts'
import type { PayloadPool } from './payload_pool.ts'
import type { Peer } from './peer.ts'
import type { ServedServer, ServerSession } from './served_server.ts'
import type { Volume } from './volume.ts'

/** Unacknowledged payload that an agent may have on one connection: 16 MiB. */
export const windowBytes = 16 * 1024 * 1024

/** Unacknowledged frames of a connection after which it is not read further. Small frames would else pile up. */
const maxPendingFrames = 4096

/** Answers that the agent does not read, above which it is not read either. */
const maxUnreadBytes = 1024 * 1024

/** Sign of life on a connection whose frames wait, so that its PINGs wait too: agents give up after 10 seconds of silence. */
const waitingPongIntervalMs = 3000

/** How long an ended connection has to take in the ERROR frame. */
const farewellMs = 2000

type State = 'WAITING' | 'OPEN' | 'LEAVING' | 'CLOSED'

/** Whether a frame of a type is expected in a state; what the table lacks is refused. */
const expected: Readonly<Record<State, readonly MessageType[]>> = {
  WAITING: ['HELLO', 'ERROR'],
  OPEN: ['BLOCKS', 'ZEROS', 'HASHES', 'BARRIER', 'STATUS', 'PING', 'GOODBYE', 'ERROR'],
  LEAVING: [],
  CLOSED: [],
}

/** What a session needs. */
export interface SessionOptions {
  socket: Duplex
  peer: Peer
  /** The server that `peer` may speak for, looked up again at HELLO. */
  findServer: (sourceServerId: string) => ServedServer | undefined
  pool: PayloadPool
  log: Logger
  helloDeadlineMs: number
  /** HELLO was accepted. */
  onOpen?: () => void
  onClose?: () => void
}

/** See the module's drawing. */
export class Session implements ServerSession {
  readonly serial: string
  readonly #options: SessionOptions
  readonly #socket: Duplex
  readonly #log: Logger
  readonly #decoder: FrameDecoder
  readonly #encoder = new FrameEncoder()
  readonly #window = new AckWindow()
  readonly #helloTimer: NodeJS.Timeout
  readonly #queue: Frame[] = []
  #state: State = 'WAITING'
  #server: ServedServer | undefined
  #volumes: ReadonlyMap<number, Volume> = new Map()
  /** A frame is being handled that those behind it wait for. */
  #isBusy = false
  /** Someone will call {@link Session.#pump} when what is in the way is gone. */
  #isWaiting = false
  #isAckScheduled = false
  #pongTimer: NodeJS.Timeout | undefined
  #inputEnded = false

  constructor(options: SessionOptions) {
    this.#options = options
    this.#socket = options.socket
    this.serial = options.peer.serial
    this.#log = options.log
    this.#decoder = new FrameDecoder({ allocate: (bytes) => options.pool.allocate(bytes) })
    this.#helloTimer = setTimeout(() => {
      this.end(new WireError('BAD_FRAME', `Cannot wait longer for HELLO than ${options.helloDeadlineMs} ms`))
    }, options.helloDeadlineMs)
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#socket.on('end', () => this.#endOfInput())
    this.#socket.on('drain', () => this.#pump())
    this.#socket.on('error', (error) => this.#log.info({ err: error }, 'Connection lost'))
    this.#socket.on('close', () => this.#close())
  }

  /** Says `error` to the agent and closes. Writes under way end by themselves; their ACKs are not sent any more. */
  end(error: WireError): void {
    if (this.#state === 'CLOSED') return
    this.#log.warn(
      { code: error.code, expected: error.expected, actual: error.actual, err: error.cause },
      `Connection ended: ${error.message}`,
    )
    this.#sendAcks()
    this.#send({ type: 'ERROR', body: error.toBody() })
    this.#close()
    this.#socket.end()
    // An agent that does not read must not keep the connection.
    const timer = setTimeout(() => this.#socket.destroy(), farewellMs)
    this.#socket.once('close', () => clearTimeout(timer))
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'CLOSED') return
    try {
      for (const frame of this.#decoder.push(chunk)) {
        this.#server?.stats.addWire(frame.wireBytes)
        this.#queue.push(frame)
      }
    } catch (error) {
      this.end(asWireError(error))
      return
    }
    this.#pump()
  }

  #endOfInput(): void {
    this.#inputEnded = true
    if (this.#state === 'CLOSED') return
    if (this.#decoder.isMidFrame) this.#log.info('Connection ended in the middle of a frame')
    this.#pump()
  }

  /** Handles what can be handled, and reads on only when nothing is left in the queue. */
  #pump(): void {
    while (this.#state !== 'CLOSED' && !this.#isBusy) {
      const frame = this.#queue[0]
      if (frame === undefined) break
      if (this.#isBlocked(frame.message)) break
      this.#queue.shift()
      this.#handle(frame)
    }
    if (this.#state === 'CLOSED') return
    const isStuck = this.#isBusy || this.#queue.length > 0 || this.#socket.writableLength > maxUnreadBytes
    this.#showLife(isStuck && this.#state === 'OPEN')
    if (isStuck) this.#socket.pause()
    else if (this.#inputEnded && this.#state !== 'LEAVING') {
      // The agent went without a word. What is under way still becomes durable, it is only not told so.
      this.#close()
      this.#socket.end()
    } else this.#socket.resume()
  }

  #showLife(isWanted: boolean): void {
    if (isWanted) {
      this.#pongTimer ??= setInterval(() => this.#send({ type: 'PONG' }), waitingPongIntervalMs)
      return
    }
    clearInterval(this.#pongTimer)
    this.#pongTimer = undefined
  }

  /** Whether `message` must wait; then someone is told to call back. */
  #isBlocked(message: Message): boolean {
    const server = this.#server
    const isWrite = message.type === 'BLOCKS' || message.type === 'ZEROS'
    if (server === undefined || (!isWrite && message.type !== 'BARRIER')) return false
    const isGated = message.type === 'BARRIER' ? !server.isBarrierOpen(message.body) : server.gate.isClosed
    if (isGated) {
      this.#waitFor((wake) => server.gate.onChange(wake))
      return true
    }
    if (message.type === 'BLOCKS' && this.#options.pool.isExhausted) {
      this.#waitFor((wake) => this.#options.pool.onRoom(wake))
      return true
    }
    // Sending the ACKs pumps again.
    return isWrite && this.#window.frames >= maxPendingFrames
  }

  #waitFor(subscribe: (wake: () => void) => void): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    subscribe(() => {
      this.#isWaiting = false
      this.#pump()
    })
  }

  #handle({ message, sequence }: Frame): void {
    if (!expected[this.#state].includes(message.type)) {
      const wanted = expected[this.#state].join(', ')
      this.end(
        new WireError('BAD_FRAME', `Cannot handle ${message.type} now`, {
          expected: wanted,
          actual: message.type,
        }),
      )
      return
    }
    switch (message.type) {
      case 'HELLO':
        this.#alone(() => this.#greet(message))
        return
      case 'BLOCKS': {
        const { payload, rawBytes } = message
        this.#options.pool.begin(rawBytes)
        this.#write(
          message.diskIndex,
          sequence,
          payload.length,
          rawBytes,
          (volume) => volume.writeBlocks(message),
          () => {
            this.#options.pool.release(payload)
            this.#options.pool.end(rawBytes)
          },
        )
        return
      }
      case 'ZEROS':
        this.#write(message.diskIndex, sequence, 0, 0, (volume) =>
          volume.writeZeros(message.firstBlock, message.blockCount),
        )
        return
      case 'HASHES':
        this.#alone(() => this.#compare(message))
        return
      case 'BARRIER':
        this.#alone(() => this.#reachBarrier(message))
        return
      case 'STATUS':
        this.#server?.stats.setStatus(message.body)
        return
      case 'PING':
        this.#send({ type: 'PONG' })
        return
      case 'GOODBYE':
        this.#state = 'LEAVING'
        this.#leaveIfDone()
        return
      case 'ERROR':
        this.#log.warn({ code: message.body.code }, `The agent ended the connection: ${message.body.message}`)
        this.#close()
        this.#socket.end()
        return
      default:
        // Answers of a replicator; the table above expects them nowhere.
        return
    }
  }

  /** Handles a frame that those behind it must wait for. */
  #alone(work: () => Promise<void>): void {
    this.#isBusy = true
    work()
      .catch((error: unknown) => this.end(asWireError(error)))
      .finally(() => {
        this.#isBusy = false
        this.#pump()
      })
      // The handlers above do not throw; this tells the checker so.
      .catch((error: unknown) => this.end(asWireError(error)))
  }

  async #greet({ body: hello }: Extract<Message, { type: 'HELLO' }>): Promise<void> {
    const server = this.#options.findServer(this.#options.peer.sourceServerId)
    requireAssigned(this.#options.peer, server?.assignment)
    if (server === undefined) return
    clearTimeout(this.#helloTimer)
    const { disks, volumes } = await server.admit(hello, this)
    if (this.#state !== 'WAITING') {
      server.leave(this)
      return
    }
    this.#server = server
    this.#volumes = volumes
    this.#state = 'OPEN'
    this.#send({ type: 'WELCOME', body: { protocolVersion, windowBytes, disks } })
    this.#log.info(
      {
        generation: hello.generation,
        connectionIndex: hello.connectionIndex,
        agentVersion: hello.agentVersion,
      },
      'Agent connected',
    )
    this.#options.onOpen?.()
  }

  /** Starts a write, which ends with its ACK once it is durable. `settled` is called in any case. */
  #write(
    diskIndex: number,
    sequence: number,
    payloadBytes: number,
    rawBytes: number,
    start: (volume: Volume) => Promise<void>,
    settled: () => void = () => {},
  ): void {
    const server = this.#server
    const volume = this.#volumes.get(diskIndex)
    if (server === undefined || volume === undefined) {
      settled()
      this.end(this.#unknownDisk(diskIndex))
      return
    }
    const pending = this.#window.add(sequence, payloadBytes)
    if (this.#window.payloadBytes > windowBytes) {
      settled()
      this.end(
        new WireError('WINDOW_EXCEEDED', 'Cannot take more payload before it is acknowledged', {
          expected: `at most ${windowBytes}`,
          actual: this.#window.payloadBytes,
        }),
      )
      return
    }
    server.beginWrite()
    const work = async (): Promise<void> => {
      try {
        await start(volume)
      } finally {
        settled()
      }
      await volume.durable()
      server.wrote(diskIndex, rawBytes)
      pending.isDurable = true
      this.#scheduleAcks()
    }
    work()
      .catch((error: unknown) => this.end(asWireError(error)))
      .finally(() => server.endWrite())
      .catch((error: unknown) => this.end(asWireError(error)))
  }

  async #compare(message: Extract<Message, { type: 'HASHES' }>): Promise<void> {
    const { diskIndex, firstBlock, blockCount, hashes } = message
    const volume = this.#volumes.get(diskIndex)
    if (volume === undefined) throw this.#unknownDisk(diskIndex)
    const bitmap = await volume.compare(firstBlock, blockCount, hashes)
    this.#send({ type: 'DIFFERENCES', diskIndex, firstBlock, blockCount, bitmap })
  }

  async #reachBarrier({ body }: Extract<Message, { type: 'BARRIER' }>): Promise<void> {
    const reached = await this.#server?.barrier(body, this.#volumes, this)
    if (reached === undefined) return
    // Everything before it is durable by now, so its ACKs go first.
    this.#sendAcks()
    this.#send({ type: 'BARRIER_REACHED', body: reached })
  }

  #unknownDisk(diskIndex: number): WireError {
    const known = [...this.#volumes.keys()].join(', ')
    return new WireError('UNKNOWN_VOLUME', `Cannot serve disk ${diskIndex}: HELLO did not name it`, {
      expected: known,
      actual: diskIndex,
      diskIndex,
    })
  }

  /** Many writes become durable at once; one ACK tells of all of them. */
  #scheduleAcks(): void {
    if (this.#isAckScheduled) return
    this.#isAckScheduled = true
    setImmediate(() => {
      this.#isAckScheduled = false
      this.#sendAcks()
      this.#leaveIfDone()
      this.#pump()
    })
  }

  #sendAcks(): void {
    const upToSequence = this.#window.takeDurable()
    if (upToSequence !== undefined) this.#send({ type: 'ACK', upToSequence })
  }

  #leaveIfDone(): void {
    if (this.#state !== 'LEAVING' || this.#window.frames > 0) return
    this.#log.info('Agent said goodbye')
    this.#close()
    this.#socket.end()
  }

  #send(message: Message): void {
    if (this.#state === 'CLOSED' || this.#socket.destroyed || !this.#socket.writable) return
    writeFrame(this.#socket, this.#encoder.encode(message))
  }

  #close(): void {
    if (this.#state === 'CLOSED') return
    this.#state = 'CLOSED'
    clearTimeout(this.#helloTimer)
    clearInterval(this.#pongTimer)
    for (const { message } of this.#queue.splice(0)) {
      if (message.type === 'BLOCKS') this.#options.pool.release(message.payload)
    }
    this.#server?.leave(this)
    this.#options.onClose?.()
    // What still comes in is not looked at, but must be taken in for the stream to end.
    this.#socket.resume()
  }
}
