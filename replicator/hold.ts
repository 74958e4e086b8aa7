/**
 * The hold: from a barrier until the snapshots are taken, no later write of the server is applied, on any of its connections. Only the
 * gateway ends it, never a clock here.
 * @module
 */
import type { Assignment } from './assignment.ts'
import type { HeldPoint } from './checkpoint.ts'

/**
 * Whether the gateway's word on a server ends the hold at `held`: its point is TAKEN, EXPIRED or FAILED, or the gateway has another
 * one or none in mind.
 */
export function isReleased(held: HeldPoint, assignment: Assignment): boolean {
  const point = assignment.consistencyPoint
  if (point === undefined || point.consistencyPointId !== held.consistencyPointId) return true
  return point.state === 'TAKEN' || point.state === 'EXPIRED' || point.state === 'FAILED'
}

/** A gate before all writes of a server; closed while a barrier is being reached and while its point is held. */
export class WriteGate {
  readonly #waiting = new Set<() => void>()
  #isClosed = false

  get isClosed(): boolean {
    return this.#isClosed
  }

  close(): void {
    this.#isClosed = true
  }

  open(): void {
    this.#isClosed = false
    this.wake()
  }

  /** Calls everyone who waits, so that they look again. */
  wake(): void {
    const woken = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of woken) wake()
  }

  /** Calls `look` once, at the next change. */
  onChange(look: () => void): void {
    this.#waiting.add(look)
  }
}
