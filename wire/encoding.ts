/**
 * Encodings of a payload of BLOCKS or PIECES.
 * @module
 */
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { promisify } from 'node:util'
import { encodings } from './message.ts'
import type { Encoding } from './message.ts'
import { WireError } from './wire_error.ts'

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/**
 * Largest window that a zstd payload may ask for, as a power of two: 2 MiB, more than any extent needs. Without a bound a frame of a few bytes makes
 * the decoder take 128 MiB.
 */
export const maxZstdWindowLog = 21

const zstdParams = { [constants.ZSTD_c_compressionLevel]: 1 }
const unzstdParams = { [constants.ZSTD_d_windowLogMax]: maxZstdWindowLog }

/**
 * Room for the whole output: in pieces of the default 16 KiB each extent would go to the thread pool and back dozens of times. A little more than the
 * output needs, or another piece would be made ready for nothing.
 */
function onePiece(rawBytes: number): number {
  return rawBytes + constants.Z_MIN_CHUNK
}

/** `bytes` as they go on the wire: zstd level 1 where that makes them smaller, else as they are. */
export async function encodePayload(
  bytes: Uint8Array,
  wanted: Encoding,
): Promise<{ encoding: Encoding; payload: Uint8Array }> {
  if (wanted === encodings.RAW) return { encoding: encodings.RAW, payload: bytes }
  const payload = await compress(bytes, { params: zstdParams, chunkSize: onePiece(bytes.length) })
  if (payload.length >= bytes.length) return { encoding: encodings.RAW, payload: bytes }
  return { encoding: encodings.ZSTD, payload }
}

/**
 * The raw bytes behind `payload`: the same view when it is not encoded. Never takes more than `rawBytes` of memory for them, beside the
 * window of zstd, which {@link maxZstdWindowLog} bounds.
 * @throws WireError BAD_FRAME when they are not exactly `rawBytes`, or are no zstd.
 */
export async function decodePayload(
  payload: Uint8Array,
  encoding: Encoding,
  rawBytes: number,
): Promise<Uint8Array> {
  if (encoding === encodings.RAW) return payload
  let raw: Uint8Array
  try {
    raw = await decompress(payload, {
      params: unzstdParams,
      maxOutputLength: rawBytes,
      chunkSize: onePiece(rawBytes),
    })
  } catch (cause) {
    throw new WireError('BAD_FRAME', 'Cannot decompress the payload of a frame', { cause })
  }
  if (raw.length !== rawBytes) {
    throw new WireError('BAD_FRAME', 'Cannot accept the payload of a frame: its raw length is wrong', {
      expected: rawBytes,
      actual: raw.length,
    })
  }
  return raw
}
