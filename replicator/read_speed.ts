/**
 * How fast the blocks of a volume are read whose hashes are not known, as measured of late.
 * @module
 */

/** Until something was measured. */
const assumedBytesPerSecond = 100_000_000

/** Shorter measurements say little. */
const leastMs = 100

/** What was measured before that counts less and less. */
const memoryMs = 10_000

/** Bytes and the time that they took. */
export class ReadSpeed {
  #bytes = 0
  #ms = 0

  /** So many bytes took so long, all that reads at once taken together. */
  add(bytes: number, ms: number): void {
    this.#bytes += bytes
    this.#ms += ms
    if (this.#ms <= memoryMs) return
    this.#bytes /= 2
    this.#ms /= 2
  }

  /** At least 1. */
  get bytesPerSecond(): number {
    return this.#ms < leastMs ? assumedBytesPerSecond : Math.max(1, (this.#bytes * 1000) / this.#ms)
  }
}
