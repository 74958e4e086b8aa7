/**
 * Reads the text of `trace_pipe`: one line per completed request, or a line that says how many were lost.
 *
 * ```
 * block_rq_complete: 254,0 WS () 2048 + 8 none,0,0 [0]
 * CPU:1 [LOST 512 EVENTS]
 * ```
 * @module
 */

/** What is found; calls come in the order of the text. */
export interface TraceHandler {
  /** Sectors of 512 bytes that a request other than a read has completed on device `major`:`minor`. */
  changed(major: number, minor: number, firstSector: number, sectorCount: number): void
  /** Events are missing here. */
  lost(description: string): void
}

/** Opens every event. A process name cannot forge it: names end after 15 bytes. */
const eventMark = Buffer.from('block_rq_complete: ')
const lostMark = Buffer.from('LOST ')
const newline = 0x0a
const space = 0x20
const digitZero = 0x30
const letterR = 0x52
const plus = 0x2b
const closing = 0x29

/** Longest line that can be one of ours; a longer rest is no event. */
const maxLineBytes = 4096

/** Parses a stream of text cut anywhere. */
export class TraceParser {
  #rest: Buffer = Buffer.alloc(0)

  /** Reads the whole lines of what came so far; keeps the piece of a line at the end. */
  push(chunk: Uint8Array, handler: TraceHandler): void {
    const own = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const text = this.#rest.length === 0 ? own : Buffer.concat([this.#rest, own])
    let start = 0
    for (;;) {
      const end = text.indexOf(newline, start)
      if (end < 0) break
      parseLine(text, start, end, handler)
      start = end + 1
    }
    // The chunk's memory is the caller's: what is kept is copied.
    this.#rest = Buffer.from(text.subarray(start))
    if (this.#rest.length > maxLineBytes) {
      this.#rest = Buffer.alloc(0)
      handler.lost('the kernel sent a line that is too long to be an event')
    }
  }
}

/** One line of `text`, from `start` to `end`. */
function parseLine(text: Buffer, start: number, end: number, handler: TraceHandler): void {
  const mark = text.indexOf(eventMark, start)
  if (mark < 0 || mark >= end) {
    const lost = text.indexOf(lostMark, start)
    if (lost >= 0 && lost < end)
      handler.lost(`the kernel says: ${text.toString('latin1', lost, end).replace(/\]$/, '')}`)
    return
  }
  parseEvent(text, mark + eventMark.length, end, handler)
}

/** `254,0 WS () 2048 + 8 [0]`, byte by byte: a regular expression costs several times as much, and there may be 100,000 a second. */
function parseEvent(text: Buffer, start: number, end: number, handler: TraceHandler): void {
  let position = start
  const number = (): number => {
    let value = 0
    for (; position < end; position++) {
      const digit = (text[position] ?? 0) - digitZero
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    return value
  }
  const major = number()
  position += 1
  const minor = number()
  position += 1
  // Kinds begin with R for reads; everything else (W, D, F, N for write-zeroes) may change the disk.
  if (text[position] === letterR) return
  const afterCommand = text.indexOf(closing, position)
  position = afterCommand + 2
  const firstSector = number()
  const isWhole =
    afterCommand > 0 &&
    afterCommand < end &&
    text[position] === space &&
    text[position + 1] === plus &&
    text[position + 2] === space
  if (!isWhole) {
    handler.lost('the kernel sent an event of an unknown form')
    return
  }
  position += 3
  const sectorCount = number()
  if (sectorCount > 0) handler.changed(major, minor, firstSector, sectorCount)
}
