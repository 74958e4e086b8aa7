/**
 * The ring buffers of one tracing instance, one for each processor, read in binary without ever waiting.
 *
 * Rings of processors that are not there yet are looked at too: one that appears later has its events seen from the first on. A look into an
 * empty ring costs about as much as one system call.
 * @module
 */
import { closeSync, constants, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { TraceLayout } from './trace_layout.ts'
import type { TraceHandler } from './trace_parser.ts'
import { errorMessage } from '../../domain/errors.ts'
import { TraceParser } from './trace_parser.ts'

/** Pages read in one go before other work gets its turn: about 4,600 events. */
const pagesPerTurn = 64
const statsBytes = 1024

/** Nothing is there now; a processor that was never there has no ring yet. */
const nothingThere = new Set(['EAGAIN', 'ENODEV'])

interface Ring {
  pipe: number
  stats: number
  /** Records taken out so far, as the kernel counts them. */
  records: number
}

/** What the kernel counts of all rings together. */
export interface RingCounts {
  /** Records that no reader will ever see. */
  lost: number
  /** Records that were taken out, by whomever. */
  read: number
}

/** Lines of a ring's `stats`: what no reader will see, in three ways, and what was read. */
const lostPatterns = [/^overrun: (\d+)$/m, /^commit overrun: (\d+)$/m, /^dropped events: (\d+)$/m]
const readPattern = /^read events: (\d+)$/m

function statOf(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0)
}

/** Rings of one instance. */
export class TraceRings {
  readonly #rings: Ring[]
  readonly #parser: TraceParser
  readonly #page: Uint8Array
  readonly #words: Uint32Array
  readonly #stats = Buffer.allocUnsafe(statsBytes)

  private constructor(rings: Ring[], layout: TraceLayout, withReads: boolean) {
    this.#rings = rings
    this.#parser = new TraceParser(layout, withReads)
    const memory = new ArrayBuffer(layout.pageBytes)
    this.#page = new Uint8Array(memory)
    this.#words = new Uint32Array(memory)
  }

  /** Opens the rings of the instance in `folder`. @throws Error of the kernel. */
  static open(folder: string, layout: TraceLayout, withReads: boolean): TraceRings {
    const rings: Ring[] = []
    const opened = new TraceRings(rings, layout, withReads)
    try {
      for (const cpu of readdirSync(join(folder, 'per_cpu'))) {
        const path = join(folder, 'per_cpu', cpu)
        const pipe = openSync(join(path, 'trace_pipe_raw'), constants.O_RDONLY | constants.O_NONBLOCK)
        const ring: Ring = { pipe, stats: -1, records: 0 }
        rings.push(ring)
        ring.stats = openSync(join(path, 'stats'), 'r')
      }
    } catch (error) {
      opened.close()
      throw error
    }
    return opened
  }

  /** Records taken out so far, by the kernel's count as it was at the start and by our own since. */
  get records(): number {
    return this.#rings.reduce((sum, ring) => sum + ring.records, 0)
  }

  /**
   * Reads every event that is there when it is called, and perhaps some that come meanwhile. After each turn of reading, and at the end,
   * `onTurn` is called in the same breath.
   */
  async pump(handler: TraceHandler, onTurn: () => void): Promise<void> {
    let pages = 0
    for (const ring of this.#rings) {
      while (this.#readPage(ring, handler)) {
        pages += 1
        if (pages % pagesPerTurn !== 0) continue
        onTurn()
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    if (pages % pagesPerTurn !== 0) onTurn()
  }

  /** Takes one page out of a ring; false when nothing is there. */
  #readPage(ring: Ring, handler: TraceHandler): boolean {
    // Most looks find nothing, which the kernel tells as an error: without a stack that is cheap.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    let bytes: number
    try {
      bytes = ring.pipe < 0 ? 0 : readSync(ring.pipe, this.#page, 0, this.#page.length, null)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      if (!nothingThere.has(code)) handler.lost(`the kernel's events cannot be read: ${errorMessage(error)}`)
      return false
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
    if (bytes === 0) return false
    ring.records += this.#parser.page(this.#page, this.#words, handler)
    return true
  }

  /** What the kernel counts. Takes out nothing. @throws Error of the kernel. */
  counts(): RingCounts {
    const sum = { lost: 0, read: 0 }
    for (const ring of this.#rings) {
      const text = this.#statsOf(ring)
      for (const pattern of lostPatterns) sum.lost += statOf(text, pattern)
      sum.read += statOf(text, readPattern)
    }
    return sum
  }

  /** What is in the rings came from an earlier reader: its count becomes ours. */
  takeOver(): void {
    for (const ring of this.#rings) ring.records = statOf(this.#statsOf(ring), readPattern)
  }

  #statsOf(ring: Ring): string {
    const bytes = readSync(ring.stats, this.#stats, 0, statsBytes, 0)
    return this.#stats.toString('latin1', 0, bytes)
  }

  /** Closes; nothing is read any more. */
  close(): void {
    for (const ring of this.#rings) {
      if (ring.pipe >= 0) closeSync(ring.pipe)
      if (ring.stats >= 0) closeSync(ring.stats)
      ring.pipe = -1
      ring.stats = -1
    }
  }
}
