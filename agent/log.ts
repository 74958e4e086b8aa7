/**
 * The agent's log: one plain line per entry on an output that systemd's journal or a terminal reads. It can be held, because a log line
 * written while a file system is frozen would wait for that file system.
 * @module
 */

/** How much an entry matters. */
export type LogLevel = 'INFO' | 'WARNING' | 'ERROR'

/** Where entries go. */
export interface Log {
  info(message: string): void
  warning(message: string): void
  error(message: string): void
}

/** Where lines go; `process.stdout` outside tests. */
export interface LogOutput {
  write(line: string): unknown
}

/** Lines kept while held; older ones are dropped, and their number is told. */
const maxHeldLines = 1000

/** A log of plain lines: time, level, message. */
export class LineLog implements Log {
  readonly #output: LogOutput
  readonly #nowMs: () => number
  #held: string[] | undefined
  #droppedLines = 0

  constructor(output: LogOutput, nowMs: () => number) {
    this.#output = output
    this.#nowMs = nowMs
  }

  info(message: string): void {
    this.#line('INFO', message)
  }

  warning(message: string): void {
    this.#line('WARNING', message)
  }

  error(message: string): void {
    this.#line('ERROR', message)
  }

  /** Whether entries are only kept. */
  get isHeld(): boolean {
    return this.#held !== undefined
  }

  /** From now on nothing is written, only kept. */
  hold(): void {
    this.#held ??= []
  }

  /** Writes what was kept and goes on as before. */
  release(): void {
    const lines = this.#held ?? []
    this.#held = undefined
    for (const line of lines) this.#output.write(line)
    if (this.#droppedLines > 0)
      this.warning(`${this.#droppedLines} log lines were dropped while the log was held`)
    this.#droppedLines = 0
  }

  #line(level: LogLevel, message: string): void {
    // A message may quote the far end or a device name: it stays on one line.
    const line = `${new Date(this.#nowMs()).toISOString()} ${level.padEnd(7)} ${message.replaceAll(/\s*[\r\n]+\s*/g, ' ')}\n`
    if (this.#held === undefined) {
      this.#output.write(line)
      return
    }
    this.#held.push(line)
    if (this.#held.length > maxHeldLines) {
      this.#held.shift()
      this.#droppedLines += 1
    }
  }
}
