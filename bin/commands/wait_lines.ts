/**
 * Lines on standard error for whoever waits: what is done now, each time that this changes, and at times that it is still so. What a command prints on standard
 * output stays for programs.
 * @module
 */
import { remark } from '../terminal.ts'

/** Nothing new for so long is worth a line. */
const repeatMs = 30_000

/** Tells what is waited for. */
export class WaitLines {
  readonly #print: (line: string) => void
  readonly #nowMs: () => number
  #told: { state: string; atMs: number } | undefined

  constructor(print: (line: string) => void = remark, nowMs: () => number = Date.now) {
    this.#print = print
    this.#nowMs = nowMs
  }

  /** It is still waited. `state` says how far it is; `words` what a person is told of that, with figures that change all the time. */
  tell(state: string, words: string = state): void {
    const atMs = this.#nowMs()
    if (this.#told?.state === state && atMs - this.#told.atMs < repeatMs) return
    this.#told = { state, atMs }
    this.#print(words)
  }
}
