/**
 * The reading half of a connection: frames in their order, each handled when it can be. One that can't be handled yet keeps those behind
 * it waiting and the socket unread; nothing is dropped. Those behind it are not even decoded: a connection that waits has memory for one payload,
 * and not for the next one, too.
 * @module
 */
import type { Duplex } from 'node:stream'
import { FrameDecoder } from '../wire/frame.ts'
import type { Frame, PayloadAllocator } from '../wire/frame.ts'
import type { Message } from '../wire/message.ts'
import { asWireError, WireError } from '../wire/wire_error.ts'
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

/** Reads one socket until it is closed. */
export class SessionInput {
  readonly #socket: Duplex
  readonly #handlers: InputHandlers
  readonly #decoder: FrameDecoder
  /** The frames of the chunk that came last, as far as they were not asked for. */
  #frames: Generator<Frame, void, void> | undefined
  /** Can't be handled yet. */
  #waiting: Frame | undefined
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

  /** Handles what can be handled, and reads on only when nothing is left of what came. */
  pump(): void {
    while (!this.#isClosed && !this.#isBusy) {
      this.#waiting ??= this.#next()
      const frame = this.#waiting
      if (frame === undefined || this.#isBlocked(frame.message)) break
      this.#waiting = undefined
      this.#handle(frame)
    }
    if (this.#isClosed) return
    const isStuck = this.#isBusy || this.#waiting !== undefined
    this.#handlers.onStuck(isStuck)
    if (isStuck || this.#handlers.isUnread()) this.#socket.pause()
    else if (this.#isEnded) this.#handlers.onEnd(this.#decoder.isMidFrame)
    else this.#socket.resume()
  }

  /** Handles nothing any more. Answers the frame that was waiting. */
  close(): Frame | undefined {
    this.#isClosed = true
    this.#frames = undefined
    const frame = this.#waiting
    this.#waiting = undefined
    return frame
  }

  #receive(chunk: Buffer): void {
    if (this.#isClosed) return
    if (this.#frames !== undefined) {
      this.#handlers.onError(new WireError('INTERNAL', 'A connection that is not read has given bytes'))
      return
    }
    // In the middle of a frame there is nothing to handle.
    if (this.#decoder.absorb(chunk)) return
    this.#frames = this.#decoder.push(chunk)
    this.pump()
  }

  /** The next frame of the chunk; undefined when there is none, or when the stream can't be understood. */
  #next(): Frame | undefined {
    try {
      const step = this.#frames?.next()
      if (step?.done === false) {
        this.#handlers.onArrived(step.value.wireBytes)
        return step.value
      }
    } catch (error) {
      this.#handlers.onError(asWireError(error))
    }
    this.#frames = undefined
    return undefined
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
