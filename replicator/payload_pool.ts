/**
 * Memory for payloads: buffers that are used again, and a bound on what all connections together keep under way.
 * @module
 */
import { maxPayloadBytes } from '../wire/frame.ts'
import type { Obstacle } from './write_gate.ts'

/** Payloads smaller than this are not worth a buffer of the largest size. */
const pooledFromBytes = 256 * 1024

/** Buffers kept for later, at most. */
const maxKept = 32

/** Shared by all sessions of a replicator. */
export class PayloadPool {
  readonly #budgetBytes: number
  readonly #free: ArrayBuffer[] = []
  readonly #own = new WeakSet<ArrayBufferLike>()
  readonly #waiting = new Set<() => void>()
  #underWayBytes = 0

  /** @param budgetBytes what may be under way before sessions are asked to read no more. */
  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes
  }

  /** A buffer for a payload of `bytes`. Give it back with {@link release}, or forget it. */
  allocate(bytes: number): Uint8Array {
    if (bytes < pooledFromBytes) return Buffer.allocUnsafeSlow(bytes)
    // Memory of its own, and not cleared first: it is filled at once.
    const memory = this.#free.pop() ?? Buffer.allocUnsafeSlow(maxPayloadBytes).buffer
    this.#own.add(memory)
    return new Uint8Array(memory)
  }

  /** Takes back the memory behind `payload`, if it is the pool's. Nobody may look at it afterwards. */
  release(payload: Uint8Array): void {
    const memory = payload.buffer
    if (!(memory instanceof ArrayBuffer) || !this.#own.delete(memory)) return
    if (this.#free.length < maxKept) this.#free.push(memory)
    // Freed at once: until garbage is collected there could be as much again.
    else memory.transfer(0)
  }

  /** Whether sessions should stop taking on work. */
  get isExhausted(): boolean {
    return this.#underWayBytes >= this.#budgetBytes
  }

  /** Counts `bytes` of work that begins. */
  begin(bytes: number): void {
    this.#underWayBytes += bytes
  }

  /** Counts `bytes` of work that has ended, and wakes who waited. */
  end(bytes: number): void {
    this.#underWayBytes -= bytes
    if (this.isExhausted || this.#waiting.size === 0) return
    const woken = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of woken) wake()
  }

  /** What work must wait for while the pool is exhausted: left word is answered once, when it no longer is. */
  get obstacle(): Obstacle | undefined {
    return this.isExhausted ? (wake) => void this.#waiting.add(wake) : undefined
  }
}
