/**
 * How many lines a minute a log takes of what strangers cause: whoever reaches a port must not be able to fill the disk.
 * @module
 */

const minuteMs = 60_000

/** How a log says what it does not write. */
export interface BudgetWords {
  /** So many lines had no room in an earlier minute; told once. */
  leftOut(count: number): void
  /** The last line of its minute was written: those that follow are only counted. */
  last(): void
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

  /** Has one line written if there is room for it. */
  spend(write: () => void, words: BudgetWords): void {
    const leftOut = this.#nowMs() - this.#minuteBegan >= minuteMs ? this.#beginMinute() : 0
    if (leftOut > 0) words.leftOut(leftOut)
    if (this.#lines === this.#maxLines) {
      this.#leftOut++
      return
    }
    this.#lines++
    write()
    if (this.#lines === this.#maxLines) words.last()
  }

  #beginMinute(): number {
    const leftOut = this.#leftOut
    this.#minuteBegan = this.#nowMs()
    this.#lines = 0
    this.#leftOut = 0
    return leftOut
  }
}
