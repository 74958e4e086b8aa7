/**
 * A connection in memory that can be cut anywhere: bytes arrive late and in pieces, stop arriving, or end in the middle of a frame.
 * @module
 */
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { randomInt } from '../../fixtures/seed.ts'

/** What goes wrong with one connection. */
export interface LinkFaults {
  /** It is cut once so many bytes have passed, both directions together. */
  cutAfterBytes: number
  /** Bytes that are carried at once, at most. */
  pieceBytes: number
}

function broken(code: string): Error {
  return Object.assign(new Error(`Simulated ${code}`), { code })
}

/** One end; what is written to it arrives at its peer. */
class LinkEnd extends Duplex {
  readonly #link: SimLink
  #resume: (() => void) | undefined

  constructor(link: SimLink) {
    super({ allowHalfOpen: false })
    this.#link = link
    // A connection that breaks has an owner who learns of it by its end.
    this.on('error', () => {})
  }

  /** Bytes arrive; resolves when there is room for more. */
  async deliver(bytes: Buffer): Promise<void> {
    if (this.destroyed || this.readableEnded) return
    if (this.push(bytes)) return
    const room = Promise.withResolvers<void>()
    this.#resume = room.resolve
    await room.promise
  }

  /** The far end has said all it had to say. */
  finish(): void {
    if (!this.destroyed && !this.readableEnded) this.push(null)
  }

  override _read(): void {
    this.#goOn()
  }

  #goOn(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    // As the kernel does: the writer's memory is its own again.
    void this.#carry(Buffer.from(chunk), done)
  }

  async #carry(bytes: Buffer, done: (error?: Error | null) => void): Promise<void> {
    let failure: Error | undefined
    try {
      await this.#link.carry(this, bytes)
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
    }
    done(failure)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#link.peerOf(this).finish()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#goOn()
    this.#link.closed(this)
    done(error)
  }
}

/** Two ends of one connection. */
export class SimLink {
  readonly agentEnd: Duplex
  readonly replicatorEnd: Duplex
  readonly #ends: [LinkEnd, LinkEnd]
  readonly #random: () => number
  readonly #faults: LinkFaults
  readonly #closed = new Set<LinkEnd>()
  #carried = 0
  #stall: PromiseWithResolvers<void> | undefined

  constructor(random: () => number, faults: LinkFaults) {
    this.#random = random
    this.#faults = faults
    this.#ends = [new LinkEnd(this), new LinkEnd(this)]
    ;[this.agentEnd, this.replicatorEnd] = this.#ends
  }

  /** Bytes that have passed in both directions. */
  get carriedBytes(): number {
    return this.#carried
  }

  /** Ends it for both, in the middle of whatever is under way. */
  cut(): void {
    for (const end of this.#ends) if (!end.destroyed) end.destroy(broken('ECONNRESET'))
    this.flow()
  }

  /** Nothing arrives any more, and nobody is told. */
  stall(): void {
    this.#stall ??= Promise.withResolvers()
  }

  /** It goes on where it stopped. */
  flow(): void {
    this.#stall?.resolve()
    this.#stall = undefined
  }

  peerOf(end: LinkEnd): LinkEnd {
    const [first, second] = this.#ends
    return end === first ? second : first
  }

  /** One end is gone: the other hears of it as of the end of the stream, or when it writes. */
  closed(end: LinkEnd): void {
    this.#closed.add(end)
    this.peerOf(end).finish()
  }

  async carry(from: LinkEnd, bytes: Buffer): Promise<void> {
    const to = this.peerOf(from)
    for (let at = 0; at < bytes.length;) {
      if (this.#random() < 0.3) await nextTurn()
      await this.#stall?.promise
      if (this.#closed.has(to)) throw broken('EPIPE')
      const most = Math.min(this.#faults.pieceBytes, bytes.length - at)
      const length = Math.min(randomInt(this.#random, 1, 2) === 1 ? most : randomInt(this.#random, 1, most))
      const left = this.#faults.cutAfterBytes - this.#carried
      const piece = bytes.subarray(at, at + Math.min(length, left))
      this.#carried += piece.length
      at += piece.length
      if (piece.length > 0) await to.deliver(piece)
      if (this.#carried >= this.#faults.cutAfterBytes) {
        this.cut()
        throw broken('ECONNRESET')
      }
    }
  }
}
