/**
 * Threads that read and hash for comparisons: their number bounds what a comparison takes of the source's processors, and the thread of the
 * agent stays free for what changes meanwhile. They are started when somebody asks and end when nobody has for a while.
 * @module
 */
import type { Worker } from 'node:worker_threads'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { HashAnswer, HashJob, HashWarning } from './hash_job.ts'
import { errorMessage } from '../../domain/errors.ts'

/** Threads where the operator names no number: while one waits for the disk, the other hashes. */
export const defaultHashThreads = 2

/** Threads at most. */
export const mostHashThreads = 16

/** Without a job for so long, threads end and their memory is free. */
const idleMs = 10_000

/** After a thread that failed none is started for so long; the agent hashes by itself. */
const retryMs = 60_000

/** What threads are made with. */
export interface HashThreadsContext {
  count: number
  /** A new thread running `hash_thread.ts`. */
  start(): Worker
  clock: Clock
  log: Log
}

type Waiting = Map<number, (hashes: Uint8Array | undefined) => void>

/** One thread and the jobs that it was given. */
interface Thread {
  worker: Worker
  waiting: Waiting
}

/** See the module. */
export class HashThreads {
  readonly #context: HashThreadsContext
  readonly #threads = new Set<Thread>()
  #nextId = 0
  #idle: NodeJS.Timeout | undefined
  #failedAtMs: number | undefined

  constructor(context: HashThreadsContext) {
    this.#context = context
  }

  /** Jobs that keep every thread busy: one under way, one in its hand. */
  get jobsAtOnce(): number {
    return 2 * this.#context.count
  }

  /** Threads that run now. */
  get running(): number {
    return this.#threads.size
  }

  /**
   * The hashes of the blocks of an open file, one after the other. Undefined when no thread could read all of them: read by yourself and see why.
   * The file must stay open until then.
   */
  hash(fd: number, offsetBytes: number, lengthBytes: number): Promise<Uint8Array | undefined> {
    const thread = this.#leastBusy()
    if (thread === undefined) return Promise.resolve(undefined)
    this.#endWhenIdle()
    const id = this.#nextId++
    return new Promise((resolve) => {
      thread.waiting.set(id, resolve)
      thread.worker.postMessage({ id, fd, offsetBytes, lengthBytes } satisfies HashJob, [])
    })
  }

  /** Ends the threads; whoever waits hears that nothing was read. The next job starts them again. */
  async close(): Promise<void> {
    clearTimeout(this.#idle)
    const threads = [...this.#threads]
    this.#threads.clear()
    await Promise.all(threads.map(({ worker }) => worker.terminate()))
    for (const { waiting } of threads) giveUp(waiting)
  }

  #endWhenIdle(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      const isBusy = [...this.#threads].some(({ waiting }) => waiting.size > 0)
      if (isBusy) this.#endWhenIdle()
      else void this.close()
    }, idleMs).unref()
  }

  #leastBusy(): Thread | undefined {
    let best: Thread | undefined
    for (const thread of this.#threads)
      if (best === undefined || thread.waiting.size < best.waiting.size) best = thread
    if (best?.waiting.size === 0 || this.#threads.size >= this.#context.count) return best
    return this.#start() ?? best
  }

  #start(): Thread | undefined {
    const { start, clock, log } = this.#context
    if (this.#failedAtMs !== undefined && clock.monotonicMs() - this.#failedAtMs < retryMs) return undefined
    const fail = (error: unknown): void => {
      this.#failedAtMs = clock.monotonicMs()
      log.warning(`A hash thread ended; the agent hashes by itself for a while: ${errorMessage(error)}`)
    }
    let worker: Worker
    try {
      worker = start()
    } catch (error) {
      fail(error)
      return undefined
    }
    const thread: Thread = { worker, waiting: new Map() }
    this.#threads.add(thread)
    // A thread that waits must not keep the process.
    worker.unref()
    worker.on('message', (message: HashAnswer | HashWarning) => {
      if ('warning' in message) log.warning(message.warning)
      else settle(thread.waiting, message)
    })
    worker.on('error', fail)
    worker.on('exit', () => {
      this.#threads.delete(thread)
      giveUp(thread.waiting)
    })
    return thread
  }
}

function settle(waiting: Waiting, answer: HashAnswer): void {
  const resolve = waiting.get(answer.id)
  waiting.delete(answer.id)
  resolve?.('hashes' in answer ? answer.hashes : undefined)
}

function giveUp(waiting: Waiting): void {
  for (const resolve of waiting.values()) resolve(undefined)
  waiting.clear()
}
