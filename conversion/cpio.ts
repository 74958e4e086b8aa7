/**
 * Lists what an initial RAM disk holds. Read here and not by a tool of this host: the archive comes from a guest and is not trusted.
 * @module
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib'

/** Unpacked, no honest initial RAM disk is larger. */
const maxUnpackedBytes = 1024 ** 3
const headerBytes = 110

/** Thrown when the archive is packed in a way that can't be unpacked here, or is broken. */
export class UnreadableInitramfsError extends Error {
  override name = 'UnreadableInitramfsError'
}

function alignTo4(offset: number): number {
  return (offset + 3) & ~3
}

/** Reads one "newc" archive at `start`; answers its names and where it ends. */
function readArchive(bytes: Buffer, start: number): { names: string[]; end: number } {
  const names: string[] = []
  let offset = start
  for (;;) {
    if (offset + headerBytes > bytes.length) throw new UnreadableInitramfsError('The initial RAM disk ends in the middle of an entry')
    const magic = bytes.toString('latin1', offset, offset + 6)
    if (magic !== '070701' && magic !== '070702') throw new UnreadableInitramfsError(`Unknown entry ${JSON.stringify(magic)} in the initial RAM disk`)
    const field = (index: number): number => Number.parseInt(bytes.toString('latin1', offset + 6 + index * 8, offset + 14 + index * 8), 16)
    const sizeBytes = field(6)
    const nameBytes = field(11)
    const nameStart = offset + headerBytes
    const name = bytes.toString('utf8', nameStart, nameStart + nameBytes - 1)
    offset = alignTo4(alignTo4(nameStart + nameBytes) + sizeBytes)
    if (!Number.isSafeInteger(offset)) throw new UnreadableInitramfsError('An entry of the initial RAM disk has no size')
    if (name === 'TRAILER!!!') return { names, end: offset }
    names.push(name)
  }
}

/** The bytes unpacked, by the packing their first bytes tell. */
function unpack(bytes: Buffer): Buffer {
  const options = { maxOutputLength: maxUnpackedBytes }
  if (bytes.readUInt16BE(0) === 0x1f8b) return gunzipSync(bytes, options)
  if (bytes.readUInt32LE(0) === 0xfd2fb528) return zstdDecompressSync(bytes, options)
  if (bytes.toString('latin1', 0, 4) === '0707') return bytes
  throw new UnreadableInitramfsError(`Unknown packing ${bytes.toString('hex', 0, 6)} of the initial RAM disk`)
}

/**
 * Every path in an initial RAM disk: early archives (microcode) and the packed main one.
 * @throws UnreadableInitramfsError when it can't be read.
 */
export function initramfsPaths(bytes: Buffer): string[] {
  const paths: string[] = []
  let offset = 0
  while (offset + headerBytes < bytes.length) {
    // Archives follow each other, padded with zeros.
    if (bytes[offset] === 0) {
      offset++
      continue
    }
    if (bytes.toString('latin1', offset, offset + 4) === '0707') {
      const archive = readArchive(bytes, offset)
      paths.push(...archive.names)
      offset = archive.end
      continue
    }
    const main = unpack(bytes.subarray(offset))
    return [...paths, ...initramfsPaths(main)]
  }
  return paths
}
