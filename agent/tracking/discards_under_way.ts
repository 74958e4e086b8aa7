/**
 * The discards of one disk that may not have ended yet.
 *
 * A disk that takes several ranges in one discard is sent them as one request, neighbours or not. When that ends, the kernel tells where its first
 * range begins and how long all are together, never where the others lie. Where they lie it told when each was queued, so:
 *
 * ```
 * queued     its range is marked, and is under way from now on
 * ended      everything under way is marked again: what was read before the disk discarded it is read once more
 * settled    as many sectors ended as were queued: nothing is under way any more
 * ```
 *
 * Each processor has a ring of its own, and the rings are read one after the other: an end may be read before what was queued earlier. That is no
 * harm to the marks, because whoever is read later marks. But equal sums say something only if a further look at all rings, begun after they were
 * equal, finds nothing new: what had ended by the first look was queued before it, and would have been found by the second.
 *
 * More ended than was queued: the trace began in the middle, or something handed a bio on to the disk under a new address, which the kernel does not
 * tell. Then ranges are unknown, and the disk is in doubt.
 * @module
 */

interface Range {
  first: number
  end: number
}

/** From so many ranges on they are told less exactly: some of what lies between them is marked too. */
const maxRanges = 16_384

/** Distance of ranges that become one first, in sectors: 64 KiB. */
const nearSectors = 128

/**
 * So long is waited for the end of what was queued: far longer than a disk may take (30 s and five more tries for NVMe and SCSI) before the kernel
 * ends the request itself. Should one end later all the same, more ends than is known, and the disk is in doubt.
 */
export const patienceMs = 15 * 60_000

/** Why a disk is in doubt. */
export const unknownDiscards = 'discards have ended of which the kernel did not tell all ranges'

/** What it tells. */
export interface DiscardListener {
  /** These sectors may change, or have changed. */
  changed(firstSector: number, sectorCount: number): void
  /** Sectors changed that nobody knows. */
  doubt(reason: string): void
}

/** Those of one disk. */
export class DiscardsUnderWay {
  readonly #listener: DiscardListener
  readonly #nowMs: () => number
  #ranges: Range[] = []
  /** Sectors queued less sectors ended; below zero also while an end was read before what was queued. */
  #balance = 0
  #hasEnded = false
  /** Changes with each event. */
  #events = 0
  #sinceMs = 0

  constructor(listener: DiscardListener, nowMs: () => number) {
    this.#listener = listener
    this.#nowMs = nowMs
  }

  /** Nothing is under way, and nothing unknown was. */
  get isSettled(): boolean {
    return this.#ranges.length === 0 && this.#balance === 0
  }

  /** A discard was queued. */
  queued(firstSector: number, sectorCount: number): void {
    this.#events += 1
    this.#balance += sectorCount
    this.#listener.changed(firstSector, sectorCount)
    if (this.#ranges.length === 0) this.#sinceMs = this.#nowMs()
    const end = firstSector + sectorCount
    const last = this.#ranges.at(-1)
    // As large discards come in.
    if (last?.end === firstSector) last.end = end
    else this.#ranges.push({ first: firstSector, end })
    if (this.#ranges.length > maxRanges) this.#ranges = coarser(this.#ranges, maxRanges / 2)
  }

  /** So many sectors of what was queued have ended. To be followed by {@link markEnded} before anybody relies on the marks. */
  ended(sectorCount: number): void {
    this.#events += 1
    this.#balance -= sectorCount
    this.#hasEnded = true
  }

  /** Marks all that may have ended since the last call. */
  markEnded(): void {
    if (!this.#hasEnded) return
    this.#hasEnded = false
    this.#markAll()
  }

  #markAll(): void {
    for (const { first, end } of this.#ranges) this.#listener.changed(first, end - first)
  }

  /**
   * Where a further look at all rings can show that nothing is under way, answers what is to be called after it; else undefined. That look must begin
   * after this call.
   */
  beginLook(): (() => void) | undefined {
    if (this.isSettled) return undefined
    if (this.#ranges.length > 0 && this.#nowMs() - this.#sinceMs > patienceMs) {
      this.#markAll()
      this.forget()
    }
    if (this.isSettled || this.#balance > 0) return undefined
    const events = this.#events
    return () => {
      if (events !== this.#events) return
      const isUnknown = this.#balance < 0
      this.forget()
      if (isUnknown) this.#listener.doubt(unknownDiscards)
    }
  }

  /** Events are missing, or nothing is under way: whatever of it ends later counts as unknown. */
  forget(): void {
    this.#events += 1
    this.#ranges = []
    this.#balance = 0
  }
}

/** At most so many ranges which hold all of these. */
function coarser(ranges: readonly Range[], count: number): Range[] {
  let joined = [...ranges].sort((left, right) => left.first - right.first)
  for (let distance = nearSectors; joined.length > count; distance *= 2) {
    const next: Range[] = []
    for (const { first, end } of joined) {
      const last = next.at(-1)
      if (last !== undefined && first <= last.end + distance) last.end = Math.max(last.end, end)
      else next.push({ first, end })
    }
    joined = next
  }
  return joined
}
