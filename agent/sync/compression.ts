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
import { firstChoice, nextChoice } from './compression_choice.ts'

/** Compressed bytes must be fewer than this share of the raw ones, or the far end's work is not worth it. */
const worthwhileShare = 0.9

/** Extents in a row that did not shrink, after which only every n-th is tried: data that does not compress comes in long stretches. */
const patience = 4
const probeEvery = 8

/** An observation takes at least this many bytes and this long. */
const observedBytes = 8 * 1024 * 1024
const observedMs = 20

/** The compression of one session. */
export class Compression {
  readonly #clock: Clock
  readonly #isOff: boolean
  #choice: CompressionChoice = firstChoice
  #failures = 0
  #skipped = 0
  /** Runs while extents are being dealt with. */
  readonly #busy: BusyTime
  /** It stood there when the observation under way began. */
  #sinceMs = 0
  #linkWaitMs = 0
  #rawBytes = 0

  /** @param isOff nothing is compressed, whatever that costs. */
  constructor(clock: Clock, isOff = false) {
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
    const encoded = await encodePayload(bytes, encodings.ZSTD)
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

  /** A run of `rawBytes` was handed to the connection, after waiting `linkWaitMs` for the link or the throttle. */
  sent(rawBytes: number, linkWaitMs: number): void {
    this.#rawBytes += rawBytes
    this.#linkWaitMs += linkWaitMs
    if (this.#rawBytes < observedBytes) return
    const busyMs = this.#busy.totalMs
    const elapsedMs = busyMs - this.#sinceMs
    if (elapsedMs < observedMs) return
    const seen = { elapsedMs, linkWaitMs: this.#linkWaitMs, rawBytes: this.#rawBytes }
    this.#choice = nextChoice(this.#choice, seen, this.#clock.monotonicMs())
    this.#sinceMs = busyMs
    this.#linkWaitMs = 0
    this.#rawBytes = 0
  }
}
