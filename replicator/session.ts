/**
 * One connection of an agent: the protocol's state machine at the replicator's end.
 *
 * ```
 * WAITING ── HELLO, admitted ──▶ OPEN ── GOODBYE ──▶ LEAVING ── all durable ──▶ CLOSED
 *    └───── refusal, bad frame, broken volume, end of the stream, shutdown ──────▶ CLOSED
 * ```
 * @module
 */
import type { Logger } from 'pino'
import type { Duplex } from 'node:stream'
import type { Frame } from '../wire/frame.ts'
import type { Message } from '../wire/message.ts'
import { protocolVersion } from '../wire/version.ts'
import { asWireError, WireError } from '../wire/wire_error.ts'
import type { ServerSession } from './members.ts'
import type { PayloadPool } from './payload_pool.ts'
import type { Peer } from './peer.ts'
import type { ServedServer } from './served_server.ts'
import { SessionInput } from './session_input.ts'
import { SessionOutput, windowBytes } from './session_output.ts'
import { requireExpected } from './session_state.ts'
import type { SessionState } from './session_state.ts'
import { isWrite, memoryOfWrite, rawBytesOf, startWrite } from './session_write.ts'
import type { WriteMessage } from './session_write.ts'
import { bidFarewell } from './farewell.ts'
import type { Volume } from './volume.ts'
import { volumeOf } from './volume_set.ts'
import type { Obstacle } from './write_gate.ts'

/** Damaged extents of a disk that are told at a time. */
const maxDamageTold = 64

/** What a session needs. */
export interface SessionOptions {
  socket: Duplex
  peer: Peer
  /** The server that `peer` may speak for, looked up again at HELLO. */
  serverOf: (peer: Peer) => ServedServer
  pool: PayloadPool
  log: Logger
  /** How long HELLO may take, and after it the volumes. */
  helloDeadlineMs: number
  /** HELLO was accepted. */
  onOpen?: () => void
}

/** See the module's drawing. */
export class Session implements ServerSession {
  readonly serial: string
  readonly #options: SessionOptions
  readonly #socket: Duplex
  readonly #log: Logger
  readonly #input: SessionInput
  readonly #output: SessionOutput
  #deadline: NodeJS.Timeout
  #state: SessionState = 'WAITING'
  #server: ServedServer | undefined
  #volumes: ReadonlyMap<number, Volume> = new Map()

  constructor(options: SessionOptions) {
    const { socket, log, helloDeadlineMs } = options
    this.#options = options
    this.#socket = socket
    this.serial = options.peer.serial
    this.#log = log
    this.#deadline = this.#endIn(
      helloDeadlineMs,
      new WireError('BAD_FRAME', `Cannot wait longer for HELLO than ${helloDeadlineMs} ms`),
    )
    this.#output = new SessionOutput(socket, () => {
      this.#leaveIfDone()
      this.#input.pump()
    })
    this.#input = new SessionInput(socket, {
      allocate: (bytes) => this.#allocate(bytes),
      onArrived: (wireBytes) => this.#server?.stats.addWire(wireBytes),
      obstacleOf: (message) => this.#obstacleOf(message),
      handle: (frame) => this.#handle(frame),
      isUnread: () => this.#output.isUnread,
      onStuck: (isStuck) => this.#output.showLife(isStuck && this.#state === 'OPEN'),
      onEnd: (isMidFrame) => this.#endOfInput(isMidFrame),
      onError: (error) => this.end(error),
    })
    socket.on('error', (error) => log.info({ err: error }, 'Connection lost'))
    socket.on('close', () => this.#close())
  }

  /** Says `error` to the agent and closes. Writes under way end by themselves; their ACKs are not sent any more. */
  end(error: WireError): void {
    if (this.#state === 'CLOSED') return
    this.#log.warn(
      { code: error.code, expected: error.expected, actual: error.actual, err: error.cause },
      `Connection ended: ${error.message}`,
    )
    // First of all: an acknowledgement lets frames go on that waited for it.
    this.#dropFrames()
    this.#output.sendAcks()
    this.#output.send({ type: 'ERROR', body: error.toBody() })
    this.#close()
  }

  /** Before HELLO was accepted nobody may make this end take memory for a payload. */
  #allocate(bytes: number): Uint8Array {
    if (this.#state === 'OPEN') return this.#options.pool.allocate(bytes)
    throw new WireError('BAD_FRAME', 'Cannot accept blocks before WELCOME', { actual: `${bytes} bytes` })
  }

  /** What `message` must wait for; undefined when it can be handled now. */
  #obstacleOf(message: Message): Obstacle | undefined {
    const server = this.#server
    if (server === undefined) return undefined
    const { hold } = server
    if (message.type === 'BARRIER') return hold.obstacleOf(message.body)
    if (!isWrite(message)) return undefined
    return hold.gate.obstacle ?? this.#options.pool.obstacle ?? this.#output.obstacle
  }

  /** Handles one frame; those behind it wait for the promise. @throws WireError when it is not expected now. */
  #handle({ message, sequence }: Frame): Promise<void> | undefined {
    requireExpected(this.#state, message.type)
    switch (message.type) {
      case 'HELLO':
        return this.#greet(message)
      case 'BLOCKS':
      case 'PIECES':
      case 'ZEROS':
        this.#write(message, sequence)
        return undefined
      case 'HASHES':
        return this.#compare(message)
      case 'VERIFY':
        return this.#verify(message)
      case 'PREPARE':
        if (this.#server !== undefined)
          this.#output.send({ type: 'TO_READ', body: this.#server.prepare(this.#volumes) })
        return undefined
      case 'BARRIER':
        return this.#reachBarrier(message)
      case 'STATUS':
        this.#server?.stats.setStatus(message.body)
        this.#tellDamage()
        return undefined
      case 'PING':
        this.#output.send({ type: 'PONG' })
        return undefined
      case 'GOODBYE':
        this.#state = 'LEAVING'
        this.#leaveIfDone()
        return undefined
      case 'ERROR':
        this.#log.warn({ code: message.body.code }, `The agent ended the connection: ${message.body.message}`)
        this.#close()
        return undefined
      default:
        // Answers of a replicator; the table above expects them nowhere.
        return undefined
    }
  }

  async #greet({ body: hello }: Extract<Message, { type: 'HELLO' }>): Promise<void> {
    const { peer, serverOf, helloDeadlineMs } = this.#options
    const server = serverOf(peer)
    clearTimeout(this.#deadline)
    this.#deadline = this.#endIn(
      helloDeadlineMs,
      new WireError(
        'VOLUME_IO_ERROR',
        `Cannot admit source server ${peer.sourceServerId} within ${helloDeadlineMs} ms: its volumes are still being opened, ` +
          'looked at again after an unclean end, or flushed. The agent connects again; if it stays, check the staging disks',
      ),
    )
    const { disks, volumes } = await server.admit(hello, this)
    clearTimeout(this.#deadline)
    if (this.#state !== 'WAITING') {
      server.leave(this)
      return
    }
    this.#server = server
    this.#volumes = volumes
    this.#state = 'OPEN'
    this.#output.send({ type: 'WELCOME', body: { protocolVersion, windowBytes, disks } })
    const { generation, connectionIndex, agentVersion } = hello
    this.#log.info({ generation, connectionIndex, agentVersion }, 'Agent connected')
    this.#options.onOpen?.()
  }

  /** Starts a write, which ends with its ACK once it is durable. */
  #write(message: WriteMessage, sequence: number): void {
    const server = this.#server
    const { pool } = this.#options
    const release = (): void => {
      if ('payload' in message) pool.release(message.payload)
    }
    try {
      const volume = volumeOf(this.#volumes, message.diskIndex)
      if (server === undefined) return
      const rawBytes = rawBytesOf(message)
      const pending = this.#output.expect(sequence, rawBytes)
      const memory = memoryOfWrite(message)
      pool.begin(memory)
      startWrite(volume, message, {
        writes: server.writes,
        onSettled: () => {
          release()
          pool.end(memory)
        },
        onDurable: () => {
          server.wrote(message.diskIndex, rawBytes)
          this.#output.durable(pending)
        },
        onError: (error) => this.end(error),
      })
    } catch (error) {
      release()
      this.end(asWireError(error))
    }
  }

  async #compare(message: Extract<Message, { type: 'HASHES' }>): Promise<void> {
    const { diskIndex, firstBlock, blockCount, hashes } = message
    const bitmap = await volumeOf(this.#volumes, diskIndex).compare(firstBlock, blockCount, hashes)
    this.#output.send({ type: 'DIFFERENCES', diskIndex, firstBlock, blockCount, bitmap })
  }

  async #verify(message: Extract<Message, { type: 'VERIFY' }>): Promise<void> {
    const { diskIndex, firstBlock, blockCount, hashes } = message
    const verified = await volumeOf(this.#volumes, diskIndex).verify(firstBlock, blockCount, hashes)
    this.#output.send({ type: 'VERIFIED', diskIndex, firstBlock, blockCount, ...verified })
  }

  /** Asks for damaged blocks, again and again until they have come: it is the answer to the agent's figures. */
  #tellDamage(): void {
    for (const [diskIndex, volume] of this.#volumes) {
      for (const extent of volume.hashes.damage.extents(maxDamageTold))
        this.#output.send({ type: 'DAMAGED', diskIndex, ...extent })
    }
  }

  async #reachBarrier({ body }: Extract<Message, { type: 'BARRIER' }>): Promise<void> {
    const answer = await this.#server?.barrier(body, this.#volumes, this).catch((error: unknown) => {
      // Damage may be what keeps the point from being reached: the agent repairs it before it tries again.
      this.#tellDamage()
      throw error
    })
    if (answer === undefined) return
    // Everything before it is durable by now, so its ACKs go first.
    this.#output.sendAcks()
    if ('reached' in answer) this.#output.send({ type: 'BARRIER_REACHED', body: answer.reached })
    else {
      const { consistencyPointId } = body
      this.#output.send({ type: 'TO_READ', body: { consistencyPointId, ...answer.unread } })
    }
  }

  #endIn(milliseconds: number, error: WireError): NodeJS.Timeout {
    return setTimeout(() => this.end(error), milliseconds)
  }

  #endOfInput(isMidFrame: boolean): void {
    if (this.#state === 'LEAVING') return
    // The agent went without a word. What is under way still becomes durable, it is only not told so.
    this.#log.info(
      isMidFrame ? 'Connection ended in the middle of a frame' : 'Connection ended without GOODBYE',
    )
    this.#close()
  }

  #leaveIfDone(): void {
    if (this.#state !== 'LEAVING' || !this.#output.isAllAcknowledged) return
    this.#log.info('Agent said goodbye')
    this.#close()
  }

  #close(): void {
    if (this.#state === 'CLOSED') return
    this.#state = 'CLOSED'
    clearTimeout(this.#deadline)
    this.#output.close()
    this.#dropFrames()
    this.#server?.leave(this)
    bidFarewell(this.#socket)
  }

  /** Handles nothing any more of what has come. */
  #dropFrames(): void {
    const message = this.#input.close()?.message
    if (message !== undefined && 'payload' in message) this.#options.pool.release(message.payload)
  }
}
