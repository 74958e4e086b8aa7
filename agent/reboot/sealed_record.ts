/**
 * What a clean shutdown leaves for the next boot: how each disk's copy stood when nothing wrote to the disks any more.
 *
 * It goes into the pages of a file that was written beforehand, so that no file system is needed to write it. Each page says whose it is: a page
 * that does not is somebody else's and is never written.
 *
 * ```
 * page    [ magic | nonce of the file | number of the page | length of the record | SHA-256 of the record | a part of the record ]
 * record  JSON, deflated; none while its length is 0
 * ```
 * @module
 */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import * as z from 'zod'
import type { Extent } from '../../domain/units.ts'
import { savedStateSchema } from '../tracking/track_memory.ts'

/** Bytes of a page. */
export const sealPageBytes = 4096
/** Pages of a record's file. All are written each time, so that the first writing shows where all later ones go. */
export const sealPages = 256
/** Bytes of a record's file. */
export const sealFileBytes = sealPages * sealPageBytes

const magic = Buffer.from('rehost-seal-0001')
const nonceBytes = 16
const headBytes = 128
const payloadBytes = sealPageBytes - headBytes
const mostJsonBytes = 64 * 1024 * 1024

const sealedDiskSchema = z.object({
  /** Knows the disk again in another boot. */
  lastingId: z.string(),
  diskBytes: z.int(),
  volumeId: z.string(),
  sizeBytes: z.int(),
  state: savedStateSchema,
  /** Blocks that may differ from the copy: unmarked and marked ones in turn. */
  runs: z.array(z.int().min(0)),
})

const loaderFileSchema = z.object({
  lastingId: z.string(),
  firstSector: z.int().min(0),
  sectorCount: z.int().min(1),
})
/** Where on which disk the one file lies that the boot loader writes. */
export type LoaderFile = z.infer<typeof loaderFileSchema>

/** As it is stored. */
export const sealedRecordSchema = z.object({
  /** Why nothing can be gone on from. */
  refusal: z.string().optional(),
  bootId: z.string(),
  generation: z.int(),
  /** What the boot loader hands to the first kernel it starts, and to no other. */
  token: z.string().min(16),
  loaderFile: loaderFileSchema,
  disks: z.array(sealedDiskSchema),
})
/** What a clean shutdown leaves. */
export type SealedRecord = z.infer<typeof sealedRecordSchema>

/** Marked blocks as a record has them. */
export function runsOf(marks: Iterable<Extent>): number[] {
  const runs: number[] = []
  let end = 0
  for (const { firstBlock, blockCount } of marks) {
    if (firstBlock < end) throw new Error(`Cannot seal block ${firstBlock} after block ${end - 1}`)
    const last = runs.length - 1
    if (firstBlock === end && last > 0) runs[last] = (runs[last] ?? 0) + blockCount
    else runs.push(firstBlock - end, blockCount)
    end = firstBlock + blockCount
  }
  return runs
}

/** The other way. */
export function* extentsOf(runs: readonly number[]): Generator<Extent> {
  let at = 0
  for (let index = 0; index + 1 < runs.length; index += 2) {
    const firstBlock = at + (runs[index] ?? 0)
    const blockCount = runs[index + 1] ?? 0
    yield { firstBlock, blockCount }
    at = firstBlock + blockCount
  }
}

/** How each page of the file with that nonce begins; the number of the page follows. */
export function sealMark(nonce: string): Buffer {
  return Buffer.concat([magic, Buffer.from(nonce, 'hex')])
}

/** Whether these bytes are this page of the file with that mark, whatever it holds. */
export function isSealPage(bytes: Buffer, mark: Buffer, page: number): boolean {
  return (
    bytes.length === sealPageBytes &&
    bytes.readUInt32LE(mark.length) === page &&
    bytes.compare(mark, 0, mark.length, 0, mark.length) === 0
  )
}

/** All pages with a record in them, or with none. @throws Error when it does not fit. */
export function encodeSeal(nonce: string, record: SealedRecord | undefined): Buffer {
  const payload = record === undefined ? Buffer.alloc(0) : deflateRawSync(Buffer.from(JSON.stringify(record)))
  if (payload.length > sealPages * payloadBytes)
    throw new Error(`what changed takes ${payload.length} bytes, which is more than is kept for a reboot`)
  const digest = createHash('sha256').update(payload).digest()
  const file = Buffer.alloc(sealFileBytes)
  const mark = sealMark(nonce)
  for (let page = 0; page < sealPages; page++) {
    const at = page * sealPageBytes
    mark.copy(file, at)
    file.writeUInt32LE(page, at + mark.length)
    file.writeUInt32LE(payload.length, at + mark.length + 4)
    digest.copy(file, at + mark.length + 8)
    file.set(payload.subarray(page * payloadBytes, (page + 1) * payloadBytes), at + headBytes)
  }
  return file
}

/** The record in a file's pages; undefined when none was sealed. @throws Error when pages are damaged or not of one writing. */
export function decodeSeal(file: Buffer): SealedRecord | undefined {
  const mark = Buffer.concat([magic, file.subarray(magic.length, magic.length + nonceBytes)])
  const lengthAt = magic.length + nonceBytes + 4
  const about = file.subarray(lengthAt, lengthAt + 36)
  const parts: Buffer[] = []
  for (let page = 0; page < sealPages; page++) {
    const bytes = file.subarray(page * sealPageBytes, (page + 1) * sealPageBytes)
    if (!isSealPage(bytes, mark, page) || !about.equals(bytes.subarray(lengthAt, lengthAt + 36)))
      throw new Error('it was not written to its end')
    parts.push(bytes.subarray(headBytes))
  }
  const length = about.readUInt32LE(0)
  if (length === 0) return undefined
  const payload = Buffer.concat(parts).subarray(0, length)
  if (!createHash('sha256').update(payload).digest().equals(about.subarray(4)))
    throw new Error('it is damaged')
  const json = inflateRawSync(payload, { maxOutputLength: mostJsonBytes }).toString()
  return sealedRecordSchema.parse(JSON.parse(json))
}
