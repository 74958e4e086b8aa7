/**
 * The archives that initial RAM disks are made of ("newc"): lists what they hold and makes further ones. Read here and not by a tool of
 * this host: an archive comes from a guest and is not trusted.
 * @module
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib'

/** Unpacked, no honest initial RAM disk is larger. */
const maxUnpackedBytes = 1024 ** 3
const headerBytes = 110
const trailer = 'TRAILER!!!'
/** First entry of an archive that conversion appended; its content is the length of what was there before. */
const appendedMark = '.rehost-drivers'
const lengthDigits = 12
/** The kernel looks for a further archive at multiples of this. */
const alignmentBytes = 512
/** Zeros that lie at least between two archives: by them an LZ4 archive is known to have ended. */
const minimumGapBytes = 4

/** Thrown when the archive is packed in a way that can't be unpacked here, or is broken. */
export class UnreadableInitramfsError extends Error {
  override name = 'UnreadableInitramfsError'
}

function alignTo(offset: number, multiple: number): number {
  return Math.ceil(offset / multiple) * multiple
}

/** Reads one archive at `start`; answers its names and where it ends. */
function readArchive(bytes: Buffer, start: number): { names: string[]; end: number } {
  const names: string[] = []
  let offset = start
  for (;;) {
    if (offset + headerBytes > bytes.length)
      throw new UnreadableInitramfsError('The initial RAM disk ends in the middle of an entry')
    const magic = bytes.toString('latin1', offset, offset + 6)
    if (magic !== '070701' && magic !== '070702') {
      throw new UnreadableInitramfsError(`Unknown entry ${JSON.stringify(magic)} in the initial RAM disk`)
    }
    const field = (index: number): number =>
      Number.parseInt(bytes.toString('latin1', offset + 6 + index * 8, offset + 14 + index * 8), 16)
    const sizeBytes = field(6)
    const nameBytes = field(11)
    const nameStart = offset + headerBytes
    const name = bytes.toString('latin1', nameStart, nameStart + nameBytes - 1)
    offset = start + alignTo(alignTo(nameStart - start + nameBytes, 4) + sizeBytes, 4)
    if (!Number.isSafeInteger(offset))
      throw new UnreadableInitramfsError('An entry of the initial RAM disk has no size')
    if (name === trailer) return { names, end: offset }
    names.push(name)
  }
}

/** The bytes unpacked, by the packing their first bytes tell. */
function unpack(bytes: Buffer): Buffer {
  const options = { maxOutputLength: maxUnpackedBytes }
  try {
    if (bytes.readUInt16BE(0) === 0x1f8b) return gunzipSync(bytes, options)
    if (bytes.readUInt32LE(0) === 0xfd2fb528) return zstdDecompressSync(bytes, options)
  } catch (error) {
    throw new UnreadableInitramfsError('The initial RAM disk cannot be unpacked', { cause: error })
  }
  throw new UnreadableInitramfsError(`Unknown packing ${bytes.toString('hex', 0, 6)} of the initial RAM disk`)
}

/** Archives that lie unpacked one behind the other from the start, padded with zeros; `end` is where something else begins. */
function readArchives(bytes: Buffer): { names: string[]; end: number } {
  const names: string[] = []
  let offset = 0
  while (offset < bytes.length) {
    if (bytes[offset] === 0) offset += 1
    else if (bytes.toString('latin1', offset, offset + 4) === '0707') {
      const archive = readArchive(bytes, offset)
      names.push(...archive.names)
      offset = archive.end
    } else return { names, end: offset }
  }
  return { names, end: bytes.length }
}

/** Where the initial RAM disk that the guest made ends, and where what conversion appended begins. */
function findAppended(bytes: Buffer): { originalEnd: number; start: number } {
  const mark = bytes.indexOf(`${appendedMark}\0`)
  if (mark < headerBytes) return { originalEnd: bytes.length, start: bytes.length }
  const content = alignTo(headerBytes + appendedMark.length + 1, 4) + mark - headerBytes
  const originalEnd = Number.parseInt(bytes.toString('latin1', content, content + lengthDigits), 10)
  const start = mark - headerBytes
  return originalEnd <= start ? { originalEnd, start } : { originalEnd: bytes.length, start: bytes.length }
}

/**
 * Every path in an initial RAM disk: early archives (microcode), the packed main one, and what conversion appended.
 * @throws UnreadableInitramfsError when it can't be read.
 */
export function initramfsPaths(bytes: Buffer): string[] {
  const { originalEnd, start } = findAppended(bytes)
  const original = bytes.subarray(0, originalEnd)
  const early = readArchives(original)
  const appended = readArchives(bytes.subarray(start))
  if (early.end >= original.length) return [...early.names, ...appended.names]
  // What is unpacked is an archive and never packed once more: the depth is bounded whatever the guest holds.
  const unpacked = unpack(original.subarray(early.end))
  const main = readArchives(unpacked)
  if (main.end < unpacked.length)
    throw new UnreadableInitramfsError('The packed part of the initial RAM disk is no archive')
  return [...early.names, ...main.names, ...appended.names]
}

/** Paths in what conversion appended, which can be read however the rest is packed; none when nothing was. */
export function appendedPaths(bytes: Buffer): string[] {
  return readArchives(bytes.subarray(findAppended(bytes).start)).names
}

/** An entry to put into an archive; without content it is a folder. */
export interface ArchiveEntry {
  path: string
  content?: Buffer
}

function entryBytes(path: string, mode: number, content: Buffer, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`, 'latin1')
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0]
  const header = Buffer.from(
    `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`,
    'latin1',
  )
  const padded = (length: number): Buffer => Buffer.alloc(alignTo(length, 4) - length)
  return Buffer.concat([header, name, padded(header.length + name.length), content, padded(content.length)])
}

/**
 * What to put behind an initial RAM disk of `lengthBytes` for a further archive, whose files replace those of the same name.
 */
export function appendix(lengthBytes: number, entries: readonly ArchiveEntry[]): Buffer {
  const folder = 0o040755
  const file = 0o100644
  const parts = [
    {
      path: appendedMark,
      mode: file,
      content: Buffer.from(String(lengthBytes).padStart(lengthDigits, '0')),
    },
    ...entries.map(({ path, content }) => ({
      path,
      mode: content === undefined ? folder : file,
      content: content ?? Buffer.alloc(0),
    })),
    { path: trailer, mode: 0, content: Buffer.alloc(0) },
  ].map(({ path, mode, content }, index) => entryBytes(path, mode, content, path === trailer ? 0 : index + 1))
  const start = alignTo(lengthBytes + minimumGapBytes, alignmentBytes)
  return Buffer.concat([Buffer.alloc(start - lengthBytes), ...parts])
}
