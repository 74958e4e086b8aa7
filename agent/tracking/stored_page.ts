/**
 * A small document in a page of a file, with a checksum: a page that was not written as a whole is none.
 * @module
 */
import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

/** Bytes of a page of the kernel, and of a document. */
export const pageBytes = 4096

const headBytes = 8

/** @throws Error when the document takes more than `bytes`. */
export function encodePage(document: unknown, bytes = pageBytes): Buffer {
  const text = Buffer.from(JSON.stringify(document))
  if (text.length + headBytes > bytes) throw new Error(`Cannot write ${text.length} bytes into a page`)
  const page = Buffer.alloc(bytes)
  page.writeUInt32LE(crc32(text), 0)
  page.writeUInt32LE(text.length, 4)
  text.copy(page, headBytes)
  return page
}

/** @throws Error when there is no whole document in it. */
export function decodePage(page: Buffer): unknown {
  const length = page.length < headBytes ? 0 : page.readUInt32LE(4)
  const text = page.subarray(headBytes, headBytes + length)
  if (length === 0 || text.length !== length || crc32(text) !== page.readUInt32LE(0))
    throw new Error('it was not written to its end')
  return JSON.parse(text.toString()) as unknown
}
