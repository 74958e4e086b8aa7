/**
 * The order in which frames leave, and what each of them waits for: its turn, the throttle, the window and the link.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { LineLog } from '../log.ts'
import { BusyTime } from './busy_time.ts'
import type { Compression } from './compression.ts'
import type { Connection } from './connection.ts'
import type { Meter } from './meter.ts'
import type { WriteMessage } from './outstanding.ts'
import type { Throttle } from './throttle.ts'

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
  log: LineLog
  throttle: Throttle
  /** Raw bytes handed to the wire. */
  meter: Meter
  counters: SendCounters
  /** Nothing is compressed. */
  isCompressionOff: boolean
}

/** What the queue of one session works with. */
export interface FrameQueueContext extends SenderContext {
  compression: Compression
  /** Payload that became durable in this session, as it crossed the wire. */
  acknowledgedPayloadBytes(): number
  /** Ends waiting for the throttle. */
  signal: AbortSignal
}

/** Frames of one session. */
export class FrameQueue {
  readonly #context: FrameQueueContext
  #tail: Promise<void> = Promise.resolve()
  /** Runs while bytes wait for a connection that takes no more. */
  readonly #waiting: BusyTime
  /** Milliseconds in which frames waited for the throttle. */
  #throttledMs = 0

  constructor(context: FrameQueueContext) {
    this.#context = context
    this.#waiting = new BusyTime(context.clock)
  }

  /**
   * Runs `emit` after what was called before it, with what is being prepared meanwhile; resolves when all is written that it adds to `written`, so
   * that its memory is free.
   */
  async inTurn<T>(
    preparing: Promise<T>,
    emit: (prepared: T, written: Promise<void>[]) => Promise<void>,
  ): Promise<void> {
    // It is awaited below, perhaps later than it fails.
    preparing.catch(() => undefined)
    const before = this.#tail
    const own = (async () => {
      await before
      const written: Promise<void>[] = []
      try {
        await emit(await preparing, written)
      } catch (error) {
        // What came before it is still being written from memory that the caller takes back.
        await Promise.all(written)
        throw error
      }
      return written
    })()
    this.#tail = own.then(
      () => undefined,
      // The failure is told to this call's caller; the next finds the connection broken by itself.
      () => undefined,
    )
    await Promise.all(await own)
  }

  /** Milliseconds in which bytes waited for a connection that took no more. */
  get waitMs(): number {
    return this.#waiting.totalMs
  }

  /** Resolves when everything that is in turn now has been handed to its connection. */
  empty(): Promise<void> {
    return this.#tail
  }

  /** Sends one frame with bytes, in the caller's turn; what is added to `written` ends when their memory is free. */
  async emit(
    connection: Connection,
    message: Exclude<WriteMessage, { type: 'ZEROS' }>,
    written: Promise<void>[],
  ): Promise<void> {
    const { clock, throttle, signal, counters, meter, compression } = this.#context
    const { rawBytes, payload } = message
    const beginMs = clock.monotonicMs()
    await throttle.take(payload.length, signal)
    this.#throttledMs += clock.monotonicMs() - beginMs
    const isWritten = Promise.withResolvers<void>()
    this.#waiting.begin()
    try {
      await connection.room(rawBytes)
      connection.sendWrite(message, isWritten.resolve)
      compression.sent(rawBytes, payload.length, {
        acknowledgedPayloadBytes: this.#context.acknowledgedPayloadBytes(),
        waitMs: this.waitMs + this.#throttledMs,
      })
    } catch (error) {
      this.#waiting.end()
      throw error
    }
    written.push(isWritten.promise.then(() => this.#waiting.end()))
    counters.sentBytes += payload.length
    counters.firstByteAtMs ??= clock.nowMs()
    meter.add(rawBytes)
  }
}
