/**
 * Progress on a terminal: one line that is redrawn, or a line every few seconds where the output is not a terminal.
 * @module
 */
import { formatBytes } from './summary.ts'

/** What a moment of replication looks like. */
export interface ReplicationMoment {
  state: string
  replicatedBytes: number
  totalBytes: number
  bytesPerSecond: number
  backlogBytes: number
  lagMs: number | null
}

/** `[█████░░░░░]  52.3 %  14.2 MB/s  backlog 1.2 MB  lag 0.4 s  INITIAL_SYNC`. */
export function progressLine(moment: ReplicationMoment, width = 30): string {
  const share = moment.totalBytes === 0 ? 0 : Math.min(1, moment.replicatedBytes / moment.totalBytes)
  const full = Math.round(share * width)
  const bar = '█'.repeat(full) + '░'.repeat(width - full)
  const lag = moment.lagMs === null ? '–' : `${(moment.lagMs / 1000).toFixed(1)} s`
  return (
    `[${bar}] ${(share * 100).toFixed(1).padStart(5)} %  ${formatBytes(moment.bytesPerSecond)}/s  ` +
    `backlog ${formatBytes(moment.backlogBytes)}  lag ${lag}  ${moment.state}`
  )
}

/** Where progress goes. */
export interface Terminal {
  write(text: string): unknown
  isTTY?: boolean
}

/** Lines without a terminal come this far apart. */
const plainIntervalMs = 5000

/** Shows moments one over the other. */
export class ProgressDisplay {
  readonly #terminal: Terminal
  readonly #now: () => number
  #lastPlainAt = -Infinity
  #isLineOpen = false
  #lastNote = ''

  constructor(terminal: Terminal, now: () => number) {
    this.#terminal = terminal
    this.#now = now
  }

  /** Shows one moment. */
  show(moment: ReplicationMoment): void {
    const line = progressLine(moment)
    if (this.#terminal.isTTY === true) {
      this.#terminal.write(`\r\u001b[K  ${line}`)
      this.#isLineOpen = true
    } else if (this.#now() - this.#lastPlainAt >= plainIntervalMs) {
      this.#lastPlainAt = this.#now()
      this.#terminal.write(`  ${line}\n`)
    }
  }

  /** Shows a sentence on a line of its own, once until another one comes. */
  note(sentence: string): void {
    if (sentence === this.#lastNote) return
    this.#lastNote = sentence
    this.end()
    this.#terminal.write(`  ${sentence}\n`)
  }

  /** Ends the redrawn line, so that the next text starts on its own. */
  end(): void {
    if (this.#isLineOpen) this.#terminal.write('\n')
    this.#isLineOpen = false
  }
}
