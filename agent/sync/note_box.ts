/**
 * Sentences on their way to the dashboard; each is logged too.
 * @module
 */
import type { Log } from '../log.ts'

/** A sentence for the dashboard. */
export interface Note {
  level: 'INFO' | 'WARNING' | 'ERROR'
  message: string
}

/** Notes kept until a heartbeat takes them; older ones give way. They all are in the log. */
const maxNotes = 50
const maxLength = 1000

/** Keeps notes until they are told. */
export class NoteBox {
  readonly #log: Log
  #notes: Note[] = []

  constructor(log: Log) {
    this.#log = log
  }

  /** Logs a sentence and keeps it. */
  add(level: Note['level'], message: string): void {
    if (level === 'INFO') this.#log.info(message)
    else if (level === 'WARNING') this.#log.warning(message)
    else this.#log.error(message)
    this.#notes = [...this.#notes, { level, message: message.slice(0, maxLength) }].slice(-maxNotes)
  }

  /** Takes all; who takes them must tell them, or {@link giveBack}. */
  take(): Note[] {
    return this.#notes.splice(0)
  }

  /** Puts back what could not be told. */
  giveBack(notes: readonly Note[]): void {
    this.#notes = [...notes, ...this.#notes].slice(-maxNotes)
  }
}
