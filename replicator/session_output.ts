/**
 * The writing half of a connection: answers, acknowledgements of what is durable, and signs of life.
 * @module
 */
import type { Duplex } from 'node:stream'
import { FrameEncoder } from '../wire/frame.ts'
import type { Message } from '../wire/message.ts'
import { WireError } from '../wire/wire_error.ts'
import { AckWindow } from './ack_window.ts'
import type { Pending } from './ack_window.ts'
import type { Obstacle } from './write_gate.ts'

/** Unacknowledged raw bytes that an agent may have on one connection: 16 MiB. */
export const windowBytes = 16 * 1024 * 1024

/** Unacknowledged frames of a connection after which it is not read further. Small frames would else pile up. */
const maxPendingFrames = 4096

/** Answers that the agent does not read, above which it is not read either. */
const maxUnreadBytes = 1024 * 1024

/** Sign of life on a connection whose frames wait, so that its PINGs wait too: agents give up after 10 seconds of silence. */
const waitingPongIntervalMs = 3000

/** Writes to one socket until it is closed. */
export class SessionOutput {
  readonly #socket: Duplex
  readonly #onAcknowledged: () => void
  readonly #encoder = new FrameEncoder()
  readonly #window = new AckWindow()
  readonly #waiting = new Set<() => void>()
  #isAckScheduled = false
  #pongTimer: NodeJS.Timeout | undefined
  #isClosed = false

  /** @param onAcknowledged called after acknowledgements were sent by themselves. */
  constructor(socket: Duplex, onAcknowledged: () => void) {
    this.#socket = socket
    this.#onAcknowledged = onAcknowledged
  }

  /** Whether answers pile up that the agent does not read. */
  get isUnread(): boolean {
    return this.#socket.writableLength > maxUnreadBytes
  }

  /** Whether everything that came is acknowledged. */
  get isAllAcknowledged(): boolean {
    return this.#window.frames === 0
  }

  /** What a write must wait for when too many are unacknowledged. */
  get obstacle(): Obstacle | undefined {
    if (this.#window.frames < maxPendingFrames) return undefined
    return (wake) => void this.#waiting.add(wake)
  }

  /** Dropped when the connection is over. */
  send(message: Message): void {
    if (this.#isClosed || this.#socket.destroyed || !this.#socket.writable) return
    // No answer has a payload.
    this.#socket.write(this.#encoder.encode(message).head)
  }

  /** Notes a write of `rawBytes` that is to be acknowledged. @throws WireError WINDOW_EXCEEDED. */
  expect(sequence: number, rawBytes: number): Pending {
    const pending = this.#window.add(sequence, rawBytes)
    if (this.#window.rawBytes <= windowBytes) return pending
    throw new WireError(
      'WINDOW_EXCEEDED',
      'Cannot take more blocks before those that came are acknowledged',
      {
        expected: `at most ${windowBytes}`,
        actual: this.#window.rawBytes,
      },
    )
  }

  /** A write has become durable. Many do at once; one ACK tells of all of them. */
  durable(pending: Pending): void {
    pending.isDurable = true
    if (this.#isAckScheduled) return
    this.#isAckScheduled = true
    setImmediate(() => {
      this.#isAckScheduled = false
      this.sendAcks()
      this.#onAcknowledged()
    })
  }

  /** Acknowledges at once all that is durable. */
  sendAcks(): void {
    const upToSequence = this.#window.takeDurable()
    if (upToSequence === undefined) return
    this.send({ type: 'ACK', upToSequence })
    const woken = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of woken) wake()
  }

  /** Sends signs of life of its own accord, or no longer. */
  showLife(isWanted: boolean): void {
    if (isWanted && !this.#isClosed) {
      this.#pongTimer ??= setInterval(() => this.send({ type: 'PONG' }), waitingPongIntervalMs)
      return
    }
    clearInterval(this.#pongTimer)
    this.#pongTimer = undefined
  }

  /** Sends nothing any more. */
  close(): void {
    this.#isClosed = true
    this.showLife(false)
  }
}
