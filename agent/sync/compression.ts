/**
 * Compresses extents while that makes sending faster, and measures whether it does.
 * @module
 */
import type { Encoding } from '../../wire/message.ts'
import type { Clock } from '../clock.ts'
import type { CompressionChoice, CompressionMode } from './compression_choice.ts'
import { BusyTime } from './busy_time.ts'
import { encodePayload } from '../../wire/encoding.ts'
import { encodings } from '../../wire/message.ts'
import { firstChoice, nextChoice, overdueMs } from './compression_choice.ts'

/** Compressed bytes must be fewer than this share of the raw ones, or the far end's work is not worth it. */
const worthwhileShare = 0.9

/** Extents in a row that did not shrink, after which only every n-th is tried: data that does not compress comes in long stretches. */
const patience = 4
const probeEvery = 8

/** An observation takes at least this many bytes and this long. */
const observedBytes = 8 * 1024 * 1024
const observedMs = 100

/** What a session has counted so far. */
export interface SessionCounts {
  /** Payload that is durable, as it crossed the wire. */
  acknowledgedPayloadBytes: number
  /** Time in which bytes were ready and waited. */
  waitMs: number
}

/** What was counted when an observation began. */
interface ObservedFrom extends SessionCounts {
  busyMs: number
  rawBytes: number
  payloadBytes: number
}

/** The compression of one session. */
export class Compression {
  readonly #clock: Clock
  readonly #isOff: boolean
  #choice: CompressionChoice = firstChoice
  #failures = 0
  #skipped = 0
  /** Runs while extents are being dealt with. */
  readonly #busy: BusyTime
  /** What was handed to the connections, in all. */
  #rawBytes = 0
  #payloadBytes = 0
  /** What was handed to them in another mode ends here: it is no matter of an observation until it is durable. */
  #formerPayloadBytes = 0
  #from: ObservedFrom | undefined
  #encodeBytesPerMs = 0

  /** @param isOff nothing is compressed, whatever that costs. */
  constructor(clock: Clock, isOff: boolean) {
    this.#clock = clock
    this.#isOff = isOff
    this.#busy = new BusyTime(clock)
  }

  /** The mode in use. */
  get mode(): CompressionMode {
    return this.#isOff ? 'PLAIN' : this.#choice.mode
  }

  /** Milliseconds in which there was something to send. */
  get busyMs(): number {
    return this.#busy.totalMs
  }

  /** `bytes` as they go on the wire; the same view when they stay raw. */
  async encode(bytes: Uint8Array): Promise<{ encoding: Encoding; payload: Uint8Array }> {
    const raw = { encoding: encodings.RAW, payload: bytes }
    if (this.mode === 'PLAIN') return raw
    if (this.#failures >= patience && this.#skipped < probeEvery) {
      this.#skipped += 1
      return raw
    }
    this.#skipped = 0
    const beginMs = this.#clock.monotonicMs()
    const encoded = await encodePayload(bytes, encodings.ZSTD)
    // The fastest counts: others waited for a thread.
    const tookMs = Math.max(1, this.#clock.monotonicMs() - beginMs)
    this.#encodeBytesPerMs = Math.max(this.#encodeBytesPerMs, bytes.length / tookMs)
    const isWorthwhile = encoded.payload.length < bytes.length * worthwhileShare
    this.#failures = isWorthwhile ? 0 : this.#failures + 1
    return isWorthwhile ? encoded : raw
  }

  /** Sending an extent begins: from here to {@link end} there is something to do. */
  begin(): void {
    this.#busy.begin()
  }

  /** Sending an extent is over, well or not. */
  end(): void {
    this.#busy.end()
  }

  /** A run of `rawBytes` was handed to a connection as `payloadBytes`. */
  sent(rawBytes: number, payloadBytes: number, counts: SessionCounts): void {
    this.#rawBytes += rawBytes
    this.#payloadBytes += payloadBytes
    const busyMs = this.#busy.totalMs
    if (this.#from === undefined) {
      if (counts.acknowledgedPayloadBytes >= this.#formerPayloadBytes) this.#beginObserving(busyMs, counts)
      return
    }
    const from = this.#from
    const elapsedMs = busyMs - from.busyMs
    const ratio = (this.#rawBytes - from.rawBytes) / Math.max(1, this.#payloadBytes - from.payloadBytes)
    const durableBytes = (counts.acknowledgedPayloadBytes - from.acknowledgedPayloadBytes) * ratio
    const isLongEnough = durableBytes >= observedBytes || elapsedMs >= overdueMs(this.#choice, observedBytes)
    if (elapsedMs < observedMs || !isLongEnough) return
    const seen = {
      elapsedMs,
      waitMs: counts.waitMs - from.waitMs,
      rawBytes: durableBytes,
      encodeBytesPerMs: this.#encodeBytesPerMs,
    }
    const { mode } = this.#choice
    this.#choice = nextChoice(this.#choice, seen, this.#clock.monotonicMs())
    if (this.#choice.mode === mode) this.#beginObserving(busyMs, counts)
    else {
      this.#formerPayloadBytes = this.#payloadBytes
      this.#from = undefined
    }
  }

  #beginObserving(busyMs: number, { acknowledgedPayloadBytes, waitMs }: SessionCounts): void {
    this.#from = {
      acknowledgedPayloadBytes,
      waitMs,
      busyMs,
      rawBytes: this.#rawBytes,
      payloadBytes: this.#payloadBytes,
    }
  }
}
