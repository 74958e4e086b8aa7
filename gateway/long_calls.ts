/**
 * Calls whose work may take longer than their callers wait: they are answered meanwhile, and the work goes on until it ends or the gateway stops.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { errorMessage } from '../domain/errors.ts'
import type { Log } from './log.ts'

/** Clients give up after 60 s, and some after 30 s; a short piece of work is answered with what came of it. */
export const patienceMs = 5000

/** The supervisor kills a gateway that has not stopped in 10 s, and heartbeats are still to be written then. */
const stopTimeoutMs = 3000

/** Work that one gateway does at the same time, about: a file with all its rows is in memory until its end, and its caller is gone long before. */
export const mostLongCalls = 4

/** Work in progress, answered or not. */
export class LongCalls {
  readonly #patienceMs: number
  readonly #log: Log
  readonly #running = new Set<Promise<unknown>>()
  #isStopping = false

  /** @param patienceMs how long a caller waits. */
  constructor(patienceMs: number, log: Log) {
    this.#patienceMs = patienceMs
    this.#log = log
  }

  /** The gateway is stopping. Work asks it before each part, and ends where it is. */
  get isStopping(): boolean {
    return this.#isStopping
  }

  /** No more work is to be begun now. */
  get isFull(): boolean {
    return this.#running.size >= mostLongCalls
  }

  /**
   * What came of `work`, or undefined when it goes on after the caller's patience.
   * @throws what the work throws within that time; later it is logged as that of `what`.
   */
  async answer<T>(what: string, work: Promise<T>): Promise<T | undefined> {
    this.#running.add(work)
    let isAnswered = false
    work
      .catch((error: unknown) => {
        if (isAnswered) this.#log.error({ error: errorMessage(error) }, `${what} went wrong`)
      })
      .finally(() => this.#running.delete(work))
    const answer = await within(work, this.#patienceMs)
    isAnswered = true
    return answer
  }

  /** Has all work end where it is, and waits for that, though not for what hangs. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await within(Promise.allSettled(this.#running), stopTimeoutMs)
  }
}

/** What comes of `work`, or undefined when it takes longer. */
async function within<T>(work: Promise<T>, limitMs: number): Promise<T | undefined> {
  const isOver = new AbortController()
  const late = sleep(limitMs, undefined, { signal: isOver.signal }).catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    isOver.abort()
  }
}
