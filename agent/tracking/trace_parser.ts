/**
 * Reads pages of the kernel's binary trace. A page is a header, which says how much of it is used and whether events before it are lost, and
 * records: a word with 5 bits of type and 27 bits of time, then what the type says.
 *
 * ```
 * page    [ timestamp | commit: used bytes, lost flags | … | record record record … ]
 * record  [ type 1–28, time | data of 4 × type bytes ]
 *         [ type 0, time    | length with this word | data ]
 *         [ type 29, time   | length with this word | nothing: padding; with a time of 0 nothing follows in the page ]
 *         [ type 30 or 31   | a word of time ]
 * ```
 * @module
 */
import type { EventLayout, TraceLayout } from './trace_layout.ts'

/** What is found; calls come in the order of the records. */
export interface TraceHandler {
  /** Sectors of 512 bytes that a request other than a read has completed on device `major`:`minor`. */
  changed(major: number, minor: number, firstSector: number, sectorCount: number): void
  /** A discard of these sectors was queued on a device that merges discards. */
  discardQueued?(major: number, minor: number, firstSector: number, sectorCount: number): void
  /** Discards of so many sectors have ended, wherever they lay. */
  discardEnded?(major: number, minor: number, sectorCount: number): void
  /** Events are missing here. */
  lost(description: string): void
}

const missedFlag = 0x8000_0000
const usedMask = 0x07ff_ffff
const typePadding = 29
const typeTimeExtend = 30
const letterD = 0x44
const letterR = 0x52
const minorBits = 20
const minorMask = 0xf_ffff

const tooShort = 'the kernel sent an event that is too short'

/** Parses pages of one layout. */
export class TraceParser {
  readonly #layout: TraceLayout
  readonly #withReads: boolean
  /** Bytes of an event's data that are looked at. */
  readonly #eventBytes: number

  /** @param withReads hands reads on too. */
  constructor(layout: TraceLayout, withReads = false) {
    this.#layout = layout
    this.#withReads = withReads
    this.#eventBytes = lengthOf(layout)
  }

  /** Reads a page; `words` is the same memory as `bytes`. Answers how many records with data were in it, as the kernel counts them. */
  page(bytes: Uint8Array, words: Uint32Array, handler: TraceHandler): number {
    const { commit, dataOffset } = this.#layout
    const flags = words[commit.offset >>> 2] ?? 0
    if ((flags & missedFlag) !== 0) handler.lost('the kernel says that the ring overflowed')
    const end = dataOffset + (flags & usedMask)
    if (end > bytes.length) {
      handler.lost(`the kernel sent a page of ${end} bytes; ${bytes.length} were expected`)
      return 0
    }
    let records = 0
    for (let at = dataOffset; at < end;) {
      const head = words[at >>> 2] ?? 0
      const type = head & 31
      if (type >= typeTimeExtend) {
        at += 8
        continue
      }
      if (type === typePadding && head >>> 5 === 0) break
      const isLong = type === 0 || type === typePadding
      const data = isLong ? at + 8 : at + 4
      const next = isLong ? at + 4 + (words[(at + 4) >>> 2] ?? 0) : data + type * 4
      if (next > end || next < data || (next & 3) !== 0) {
        handler.lost('the kernel sent a record of an unknown form')
        break
      }
      if (type !== typePadding) {
        records += 1
        this.#record(bytes, words, data, next, handler)
      }
      at = next
    }
    return records
  }

  #record(bytes: Uint8Array, words: Uint32Array, data: number, end: number, handler: TraceHandler): void {
    const layout = this.#layout
    const { commonType, kind, discards } = layout
    const type = (bytes[data + commonType.offset] ?? 0) + (bytes[data + commonType.offset + 1] ?? 0) * 256
    if (type !== layout.eventId) {
      // Else somebody else's marks in our ring.
      if (type === discards?.queued.eventId) discard(discards.queued, words, data, end, handler, true)
      else if (type === discards?.ended.eventId) discard(discards.ended, words, data, end, handler, false)
      return
    }
    if (data + this.#eventBytes > end) {
      handler.lost(tooShort)
      return
    }
    // Kinds begin with R for reads; everything else (W, D, F, N for write-zeroes) may change the disk.
    const letter = bytes[data + kind.offset]
    if (letter === letterR && !this.#withReads) return
    const count = words[(data + layout.sectorCount.offset) >>> 2] ?? 0
    if (count === 0) return
    const device = words[(data + layout.dev.offset) >>> 2] ?? 0
    const major = device >>> minorBits
    const minor = device & minorMask
    handler.changed(major, minor, sectorAt(layout, words, data), count)
    if (letter === letterD) handler.discardEnded?.(major, minor, count)
  }
}

/** Bytes of an event's data that are looked at. */
function lengthOf({ dev, sector, sectorCount, kind }: EventLayout): number {
  return Math.max(
    dev.offset + dev.size,
    sector.offset + sector.size,
    sectorCount.offset + sectorCount.size,
    kind.offset + 1,
  )
}

function sectorAt({ sector }: EventLayout, words: Uint32Array, data: number): number {
  const low = words[(data + sector.offset) >>> 2] ?? 0
  const high = sector.size === 8 ? (words[(data + sector.offset + 4) >>> 2] ?? 0) : 0
  return high * 2 ** 32 + low
}

/** What is traced of bios; the kernel lets nothing but discards through. */
function discard(
  layout: EventLayout,
  words: Uint32Array,
  data: number,
  end: number,
  handler: TraceHandler,
  isQueued: boolean,
): void {
  if (data + lengthOf(layout) > end) {
    handler.lost(tooShort)
    return
  }
  const device = words[(data + layout.dev.offset) >>> 2] ?? 0
  const count = words[(data + layout.sectorCount.offset) >>> 2] ?? 0
  const major = device >>> minorBits
  const minor = device & minorMask
  if (isQueued) handler.discardQueued?.(major, minor, sectorAt(layout, words, data), count)
  else handler.discardEnded?.(major, minor, count)
}
