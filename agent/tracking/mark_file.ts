/**
 * The blocks of one disk that may differ from its copy, in a file that outlives the process, as the kernel's rings do.
 *
 * ```
 * page 0    who it is for, and how the copy stands
 * page 1…   a bit for each block, 32,768 blocks a page; pages never marked take no room
 * ```
 *
 * Everything is written with plain positioned writes of whole pages: a process that is killed leaves each page old or new. The order makes that
 * enough: marks are written before it is written that their events were read, and pages before the state that relies on them.
 * @module
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import * as z from 'zod'
import type { Extent } from '../../domain/units.ts'
import type { SavedState } from './track_memory.ts'
import { blockSizeBytes, sectorSizeBytes } from '../../domain/units.ts'
import { decodePage, encodePage, pageBytes } from './stored_page.ts'
import { savedStateSchema } from './track_memory.ts'

const sectorsPerBlock = blockSizeBytes / sectorSizeBytes
const blocksPerPage = pageBytes * 8
const wordsPerPage = pageBytes / 4

/** Blocks sent to a blank volume are announced so many ahead: 1 GiB, so that it is rarely written. */
const announceBlocks = 16_384

const headerSchema = z.object({
  ringId: z.string(),
  device: z.tuple([z.int(), z.int()]),
  diskId: z.string(),
  volumeId: z.string(),
  sizeBytes: z.int(),
  /** Changes were lost; why. */
  lost: z.string().optional(),
  /** Discards were under way of which only their end is traced from here on. */
  hasDiscardsUnderWay: z.boolean(),
  state: savedStateSchema.optional(),
})
type Header = z.infer<typeof headerSchema>

/** Which disk and volume a file is for. */
export type MarkedDisk = Pick<Header, 'diskId' | 'volumeId' | 'sizeBytes'>

/** One disk's file. Its methods throw what the file system says. */
export class MarkFile {
  readonly path: string
  readonly #file: number
  #header: Header
  #pages: Map<number, Uint32Array>
  readonly #stale = new Set<number>()
  #hasDiscardsUnderWay = false

  private constructor(path: string, file: number, header: Header, pages: Map<number, Uint32Array>) {
    this.path = path
    this.#file = file
    this.#header = header
    this.#pages = pages
  }

  /** A new file, which takes the place of any other. Nothing can be gone on from until it was saved to. */
  static create(path: string, disk: Omit<Header, 'state' | 'lost' | 'hasDiscardsUnderWay'>): MarkFile {
    rmSync(path, { force: true })
    const header = { ...disk, hasDiscardsUnderWay: false }
    const made = new MarkFile(path, openSync(path, 'wx+', 0o600), header, new Map())
    made.#writeHeader()
    return made
  }

  /** A file that an earlier process left. @throws Error when it is damaged. */
  static load(path: string): MarkFile {
    const file = openSync(path, 'r+')
    const pages = new Map<number, Uint32Array>()
    let header: Header
    try {
      const head = Buffer.alloc(pageBytes)
      readSync(file, head, 0, pageBytes, 0)
      header = headerSchema.parse(decodePage(head))
      const count = Math.ceil(fstatSync(file).size / pageBytes) - 1
      for (let index = 0; index < count; index++) {
        const page = new Uint32Array(wordsPerPage)
        readSync(file, page, 0, pageBytes, (index + 1) * pageBytes)
        if (page.some((word) => word !== 0)) pages.set(index, page)
      }
    } catch (error) {
      closeSync(file)
      throw error
    }
    return new MarkFile(path, file, header, pages)
  }

  /** Whose file it is. */
  get header(): Readonly<Header> {
    return this.#header
  }

  /** Marks the blocks that sectors lie in. Not in the file before {@link flush}. */
  mark(firstSector: number, sectorCount: number): void {
    const first = Math.floor(firstSector / sectorsPerBlock)
    const end = Math.ceil((firstSector + sectorCount) / sectorsPerBlock)
    this.#markBlocks(this.#pages, { firstBlock: first, blockCount: end - first }, this.#stale)
  }

  /** Changes were lost, which is in the file when this returns. */
  lost(reason: string): void {
    if (this.#header.lost !== undefined) return
    this.#header = { ...this.#header, lost: reason }
    this.#writeHeader()
  }

  /** Whether a later run would not know all ranges of what ends. Not in the file before {@link flush}. */
  setDiscardsUnderWay(isSo: boolean): void {
    this.#hasDiscardsUnderWay = isSo
  }

  /** Writes what was marked. */
  flush(): void {
    for (const index of this.#stale) this.#writePage(index)
    this.#stale.clear()
    if (this.#header.hasDiscardsUnderWay === this.#hasDiscardsUnderWay) return
    this.#header = { ...this.#header, hasDiscardsUnderWay: this.#hasDiscardsUnderWay }
    this.#writeHeader()
  }

  /** Marked blocks, in order. */
  *marks(): Generator<Extent> {
    for (const index of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#pages.get(index)
      for (let word = 0; word < wordsPerPage; word++) {
        const bits = page?.[word] ?? 0
        const firstBlock = index * blocksPerPage + word * 32
        if (bits === 0xffff_ffff) yield { firstBlock, blockCount: 32 }
        else
          for (let bit = 0; bit < 32 && bits >>> bit !== 0; bit++)
            if (((bits >>> bit) & 1) === 1) yield { firstBlock: firstBlock + bit, blockCount: 1 }
      }
    }
  }

  /** See `TrackMemory`. Whatever was lost is behind the state's cursor. */
  save(state: SavedState, outstanding: Iterable<Extent>): void {
    // Until the new state is written the old one stands beside the new marks: it must be true of them too.
    if (!isFollowedBy(this.#header.state, state)) this.#forgetState()
    const pages = new Map<number, Uint32Array>()
    for (const extent of outstanding) this.#markBlocks(pages, extent)
    const before = this.#pages
    this.#pages = pages
    // Nothing is marked, as most of the time: the room of all pages is given back.
    if (pages.size === 0 && before.size > 0) ftruncateSync(this.#file, pageBytes)
    else this.#writeChanged(before)
    this.#stale.clear()
    this.#saveState(state)
  }

  /** The volume has grown to `sizeBytes`: marks count up to there. Nothing can be gone on from until it was saved to. */
  grow(sizeBytes: number): void {
    this.#header = { ...this.#header, sizeBytes }
    this.#forgetState()
  }

  #forgetState(): void {
    const { state: _, ...header } = this.#header
    this.#header = header
    this.#writeHeader()
  }

  #writeChanged(before: Map<number, Uint32Array>): void {
    const pages = this.#pages
    for (const index of new Set([...before.keys(), ...pages.keys()])) {
      if (!this.#stale.has(index) && isSamePage(before.get(index), pages.get(index))) continue
      this.#writePage(index)
    }
  }

  #saveState(state: SavedState): void {
    const { lost: _, ...header } = this.#header
    const { scan } = state
    this.#header = {
      ...header,
      state:
        scan?.mode === 'BLANK'
          ? { ...state, scan: { ...scan, attemptedEnd: scan.attemptedEnd + announceBlocks } }
          : state,
    }
    this.#writeHeader()
  }

  /** See `TrackMemory`. */
  willSend(end: number): void {
    const { state } = this.#header
    if (state?.scan === undefined || state.scan.attemptedEnd >= end) return
    const scan = { ...state.scan, attemptedEnd: end + announceBlocks }
    this.#header = { ...this.#header, state: { ...state, scan } }
    this.#writeHeader()
  }

  /** Closes; it stays for the next run. */
  close(): void {
    closeSync(this.#file)
  }

  /** Closes and removes. */
  remove(): void {
    closeSync(this.#file)
    rmSync(this.path, { force: true })
  }

  #markBlocks(
    pages: Map<number, Uint32Array>,
    { firstBlock, blockCount }: Extent,
    stale?: Set<number>,
  ): void {
    const end = Math.min(firstBlock + blockCount, Math.ceil(this.#header.sizeBytes / blockSizeBytes))
    for (let block = firstBlock; block < end;) {
      const next = Math.min(end, (Math.floor(block / 32) + 1) * 32)
      const bits = next - block === 32 ? 0xffff_ffff : (2 ** (next - block) - 1) << (block & 31)
      const index = Math.floor(block / blocksPerPage)
      let page = pages.get(index)
      if (page === undefined) {
        page = new Uint32Array(wordsPerPage)
        pages.set(index, page)
      }
      const word = (block % blocksPerPage) >>> 5
      const before = page[word] ?? 0
      const after = (before | bits) >>> 0
      block = next
      if (after === before) continue
      page[word] = after
      stale?.add(index)
    }
  }

  #writePage(index: number): void {
    const page = this.#pages.get(index) ?? new Uint32Array(wordsPerPage)
    writeWhole(this.#file, page, (index + 1) * pageBytes)
  }

  #writeHeader(): void {
    writeWhole(this.#file, encodePage(this.#header), 0)
  }
}

/** A page of a file, or nothing of it. @throws Error when there is no room. */
export function writeWhole(file: number, page: Uint8Array | Uint32Array, at: number): void {
  const bytes = writeSync(file, page, 0, page.byteLength, at)
  if (bytes !== page.byteLength) throw new Error(`Only ${bytes} of ${page.byteLength} bytes could be written`)
}

/** Whether all that may differ by `after` may also differ by `before`, were it said of the same marks. */
function isFollowedBy(before: SavedState | undefined, after: SavedState): boolean {
  if (before === undefined) return true
  if (before.copyId !== after.copyId || before.rescanEpoch !== after.rescanEpoch) return false
  if (after.scan === undefined) return true
  return before.scan?.mode === after.scan.mode && before.scan.cursor <= after.scan.cursor
}

function isSamePage(left: Uint32Array | undefined, right: Uint32Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right
  return Buffer.from(left.buffer).equals(Buffer.from(right.buffer))
}
