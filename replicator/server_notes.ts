/**
 * Sentences of a served server on their way to the gateway's events. Each is said with every heartbeat until one that said it was answered.
 * @module
 */
import type { ReplicatorHeartbeat } from '../wire/control_api.ts'

/** A sentence worth an event. */
export type Note = NonNullable<ReplicatorHeartbeat['sessions'][number]['notes']>[number]

/** Notes of a heartbeat, and notes that wait; the log has them all. */
const maxSent = 20
const maxWaiting = 200
const maxLength = 1000

/** The notes of one server. */
export class ServerNotes {
  #waiting: { note: Note; firstBeat: number | undefined }[] = []

  /** Adds a sentence; when too many wait, those that came first are told. */
  add(level: Note['level'], message: string): void {
    if (this.#waiting.length >= maxWaiting) return
    this.#waiting.push({ note: { level, message: message.slice(0, maxLength) }, firstBeat: undefined })
  }

  /** What heartbeat `beat` says. */
  sendWith(beat: number): { notes?: Note[] } {
    const sent = this.#waiting.slice(0, maxSent)
    for (const waiting of sent) waiting.firstBeat ??= beat
    return sent.length === 0 ? {} : { notes: sent.map(({ note }) => note) }
  }

  /** Heartbeat `beat` was answered: what it said is told. */
  answered(beat: number): void {
    this.#waiting = this.#waiting.filter(({ firstBeat }) => firstBeat === undefined || firstBeat > beat)
  }
}
