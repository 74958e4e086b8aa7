/**
 * The reading half of a connection: frames in their order, each handled when it can be. One that can't be handled yet keeps those behind
 * it waiting and the socket unread; nothing is dropped.
 * @module
 */
import type { Duplex } from 'node:stream'
import { FrameDecoder } from '../wire/frame.ts'
import type { Frame, PayloadAllocator } from '../wire/frame.ts'
import type { Message } from '../wire/message.ts'
import { asWireError } from '../wire/wire_error.ts'
import type { WireError } from '../wire/wire_error.ts'
import type { Obstacle } from './write_gate.ts'

/** What the input asks of its session. */
export interface InputHandlers {
  /** Memory for a payload that arrives in pieces. @throws WireError when none may come now. */
  allocate: PayloadAllocator
  /** A frame has arrived, of so many bytes. */
  onArrived: (wireBytes: number) => void
  /** What `message` must wait for; undefined when it can be handled now. */
  obstacleOf: (message: Message) => Obstacle | undefined
  /** Handles a frame; those behind it wait for the promise. */
  handle: (frame: Frame) => Promise<void> | undefined
  /** Whether answers pile up that the far end does not read. */
  isUnread: () => boolean
  /** Frames wait, or no longer do. */
  onStuck: (isStuck: boolean) => void
  /** Everything that came was handled, and no more will come. */
  onEnd: (isMidFrame: boolean) => void
  /** The stream can't be understood, or handling failed. */
  onError: (error: WireError) => void
}

/** The bytes of blocks that `message` brings. */
export function payloadOf(message: Message): Uint8Array | undefined {
  return 'payload' in message ? message.payload : undefined
}

/** Reads one socket until it is closed. */
export class SessionInput {
  readonly #socket: Duplex
  readonly #handlers: InputHandlers
  readonly #decoder: FrameDecoder
  readonly #queue: Frame[] = []
  /** A frame is being handled that those behind it wait for. */
  #isBusy = false
  /** Someone will call {@link SessionInput.pump} when what is in the way is gone. */
  #isWaiting = false
  #isEnded = false
  #isClosed = false

  constructor(socket: Duplex, handlers: InputHandlers) {
    this.#socket = socket
    this.#handlers = handlers
    this.#decoder = new FrameDecoder({ allocate: handlers.allocate })
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('end', () => {
      this.#isEnded = true
      this.pump()
    })
    socket.on('drain', () => this.pump())
  }

  /** Handles what can be handled, and reads on only when nothing is left in the queue. */
  pump(): void {
    while (!this.#isClosed && !this.#isBusy) {
      const frame = this.#queue[0]
      if (frame === undefined || this.#isBlocked(frame.message)) break
      this.#queue.shift()
      this.#handle(frame)
    }
    if (this.#isClosed) return
    const isStuck = this.#isBusy || this.#queue.length > 0
    this.#handlers.onStuck(isStuck)
    if (isStuck || this.#handlers.isUnread()) this.#socket.pause()
    else if (this.#isEnded) this.#handlers.onEnd(this.#decoder.isMidFrame)
    else this.#socket.resume()
  }

  /** Handles nothing any more. Answers the payloads that were waiting or on their way. */
  close(): Uint8Array[] {
    this.#isClosed = true
    const waiting = this.#queue.splice(0).flatMap(({ message }) => payloadOf(message) ?? [])
    const arriving = this.#decoder.abandon()
    return arriving === undefined ? waiting : [...waiting, arriving]
  }

  #receive(chunk: Buffer): void {
    // In the middle of a frame there is nothing to handle.
    if (this.#isClosed || this.#decoder.absorb(chunk)) return
    try {
      for (const frame of this.#decoder.push(chunk)) {
        this.#handlers.onArrived(frame.wireBytes)
        this.#queue.push(frame)
      }
    } catch (error) {
      this.#handlers.onError(asWireError(error))
      return
    }
    this.pump()
  }

  #isBlocked(message: Message): boolean {
    const obstacle = this.#handlers.obstacleOf(message)
    if (obstacle === undefined) return false
    if (this.#isWaiting) return true
    this.#isWaiting = true
    obstacle(() => {
      this.#isWaiting = false
      this.pump()
    })
    return true
  }

  #handle(frame: Frame): void {
    let work: Promise<void> | undefined
    try {
      work = this.#handlers.handle(frame)
    } catch (error) {
      this.#handlers.onError(asWireError(error))
      return
    }
    if (work === undefined) return
    this.#isBusy = true
    const end = (): void => {
      this.#isBusy = false
      this.pump()
    }
    work.then(end, (error: unknown) => {
      this.#handlers.onError(asWireError(error))
      end()
    })
  }
}
