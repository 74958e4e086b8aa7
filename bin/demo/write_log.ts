/**
 * The oracle of the demonstration: a replica is right if it equals the source's disk as it was after some write of the source, and all
 * before it. QEMU logged every write in order (driver blklogwrites, the layout of Linux's dm-log-writes), so this can be checked without
 * asking any part of Rehost.
 * @module
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

const sectorBytes = 512
const magic = 0x6a736677736872n
const entryHeaderBytes = 32
const flags = { discard: 4n, mark: 8n }
const scanBytes = 4 * 1024 * 1024

/** What was found. `entry` counts from 1; 0 is the disk before the first write. */
export type MatchResult =
  { identical: true; entry: number; entries: number } | { identical: false; entries: number; nearest: string }

/** Sectors in which two images differ. */
async function differingSectors(left: FileHandle, right: FileHandle): Promise<Set<number>> {
  const sizes = [(await left.stat()).size, (await right.stat()).size]
  if (sizes[0] !== sizes[1]) throw new Error(`Cannot compare images of ${sizes[0]} and ${sizes[1]} bytes`)
  const differing = new Set<number>()
  const a = Buffer.alloc(scanBytes)
  const b = Buffer.alloc(scanBytes)
  for (let offset = 0; offset < (sizes[0] ?? 0); offset += scanBytes) {
    const length = Math.min(scanBytes, (sizes[0] ?? 0) - offset)
    await readFully(left, a, length, offset)
    await readFully(right, b, length, offset)
    if (a.compare(b, 0, length, 0, length) === 0) continue
    for (let start = 0; start < length; start += sectorBytes) {
      const end = Math.min(start + sectorBytes, length)
      if (a.compare(b, start, end, start, end) !== 0) differing.add((offset + start) / sectorBytes)
    }
  }
  return differing
}

async function readFully(file: FileHandle, into: Buffer, length: number, position: number): Promise<void> {
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(into, done, length - done, position + done)
    if (bytesRead === 0) throw new Error(`The file ends at ${position + done}, inside what was to be read`)
    done += bytesRead
  }
}

/** Notes for the sectors of one write whether they are now as in the replica. */
async function applyWrite(
  replica: FileHandle,
  differing: Set<number>,
  firstSector: number,
  data: Buffer,
): Promise<void> {
  const wanted = Buffer.alloc(data.length)
  await readFully(replica, wanted, data.length, firstSector * sectorBytes)
  for (let start = 0; start < data.length; start += sectorBytes) {
    const end = start + sectorBytes
    const sector = firstSector + start / sectorBytes
    if (data.compare(wanted, start, end, start, end) === 0) differing.delete(sector)
    else differing.add(sector)
  }
}

/**
 * Compares a replica with every state the source's disk went through.
 *
 * @param paths.initialImagePath the source's disk before its first write
 * @param paths.logPath the write log; what is appended while this reads is left out
 * @param paths.replicaPath the volume or snapshot to judge
 * @throws Error when the log is not in the expected layout or the images differ in size.
 */
export async function matchReplica(paths: {
  initialImagePath: string
  logPath: string
  replicaPath: string
}): Promise<MatchResult> {
  const initial = await open(paths.initialImagePath)
  const replica = await open(paths.replicaPath)
  const log = await open(paths.logPath)
  try {
    const superBlock = Buffer.alloc(sectorBytes)
    await readFully(log, superBlock, sectorBytes, 0)
    if (superBlock.readBigUInt64LE(0) !== magic) throw new Error(`${paths.logPath} is no log of writes`)
    const entries = Number(superBlock.readBigUInt64LE(16))
    const logSectorBytes = superBlock.readUInt32LE(24)
    const differing = await differingSectors(initial, replica)
    let fewest = { count: differing.size, entry: 0, sector: [...differing][0] ?? 0 }
    if (differing.size === 0) return { identical: true, entry: 0, entries }
    const header = Buffer.alloc(entryHeaderBytes)
    let position = logSectorBytes
    for (let entry = 1; entry <= entries; entry++) {
      await readFully(log, header, entryHeaderBytes, position)
      position += logSectorBytes
      const firstSector = Number(header.readBigUInt64LE(0)) * (logSectorBytes / sectorBytes)
      const lengthBytes = Number(header.readBigUInt64LE(8)) * logSectorBytes
      const kind = header.readBigUInt64LE(16)
      if ((kind & flags.discard) !== 0n || (kind & flags.mark) !== 0n || lengthBytes === 0) continue
      const data = Buffer.alloc(lengthBytes)
      await readFully(log, data, lengthBytes, position)
      position += lengthBytes
      await applyWrite(replica, differing, firstSector, data)
      if (differing.size === 0) return { identical: true, entry, entries }
      if (differing.size < fewest.count)
        fewest = { count: differing.size, entry, sector: [...differing][0] ?? 0 }
    }
    const nearest = `${fewest.count} sectors differ after write ${fewest.entry}, the first at byte ${fewest.sector * sectorBytes}`
    return { identical: false, entries, nearest }
  } finally {
    await Promise.all([initial.close(), replica.close(), log.close()])
  }
}
