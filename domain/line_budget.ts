/**
 * How many lines a minute a log takes of what strangers cause: whoever reaches a port must not be able to fill the disk.
 * @module
 */

const minuteMs = 60_000

/** What to do with one line. */
export interface LineTurn {
  isWritten: boolean
  /** The last of its minute: those that follow are only counted. */
  isLast: boolean
  /** Lines that an earlier minute had no room for, told once. */
  leftOut: number
}

/** So many lines a minute; minutes begin with the first line after the last one. */
export class LineBudget {
  readonly #maxLines: number
  readonly #nowMs: () => number
  #minuteBegan: number
  #lines = 0
  #leftOut = 0

  /** @param nowMs monotonic milliseconds. */
  constructor(maxLines: number, nowMs: () => number) {
    this.#maxLines = maxLines
    this.#nowMs = nowMs
    this.#minuteBegan = nowMs()
  }

  /** Asks for one line. */
  next(): LineTurn {
    const leftOut = this.#nowMs() - this.#minuteBegan >= minuteMs ? this.#beginMinute() : 0
    const isWritten = this.#lines < this.#maxLines
    if (isWritten) this.#lines++
    else this.#leftOut++
    return { isWritten, isLast: isWritten && this.#lines === this.#maxLines, leftOut }
  }

  #beginMinute(): number {
    const leftOut = this.#leftOut
    this.#minuteBegan = this.#nowMs()
    this.#lines = 0
    this.#leftOut = 0
    return leftOut
  }
}
