/**
 * Decides extent by extent whether compressing is worth it.
 * @module
 */
import type { Encoding } from '../../wire/message.ts'
import { encodePayload } from '../../wire/encoding.ts'
import { encodings } from '../../wire/message.ts'

/** Compressed bytes must be fewer than this share of the raw ones, or the far end's work is not worth it. */
const worthwhileShare = 0.9

/** Extents in a row that did not shrink, after which only every n-th is tried: data that does not compress comes in long stretches. */
const patience = 4
const probeEvery = 8

/** Compresses with zstd where that helps, and soon stops trying where it does not. */
export class Compression {
  #failures = 0
  #skipped = 0

  /** `bytes` as they go on the wire; the same view when they stay raw. */
  async encode(bytes: Uint8Array): Promise<{ encoding: Encoding; payload: Uint8Array }> {
    const raw = { encoding: encodings.RAW, payload: bytes }
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
}
