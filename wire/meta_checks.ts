/**
 * What holds of the meta parts in both directions: lengths and counts that fit each other.
 * @module
 */
import { blockSizeBytes } from '../domain/units.ts'
import {
  barrierReachedSchema,
  barrierSchema,
  encodings,
  helloSchema,
  statusSchema,
  welcomeSchema,
  wireErrorSchema,
} from './message.ts'
import type { MessageType } from './message.ts'
import { WireError } from './wire_error.ts'

/** A first block is 64 bits wide: so many of each half. */
export const twoTo32 = 2 ** 32

/** The messages whose meta is JSON. */
export const bodySchemas = {
  HELLO: helloSchema,
  WELCOME: welcomeSchema,
  BARRIER: barrierSchema,
  BARRIER_REACHED: barrierReachedSchema,
  STATUS: statusSchema,
  ERROR: wireErrorSchema,
} as const
export type BodyType = keyof typeof bodySchemas

/** @throws WireError BAD_FRAME when a frame is of no block or of more than `most`. */
export function requireCount(type: MessageType, count: number, most: number): void {
  if (count >= 1 && count <= most) return
  throw new WireError('BAD_FRAME', `Cannot accept a ${type} frame of ${count} blocks`, {
    expected: `1 to ${most}`,
    actual: count,
  })
}

/** @throws WireError BAD_FRAME when a part of a frame is not as long as it must be. */
export function requireLength(type: MessageType, part: string, expected: number, actual: number): void {
  if (expected === actual) return
  throw new WireError('BAD_FRAME', `Cannot read a ${type} frame: its ${part} has the wrong length`, {
    expected,
    actual,
  })
}

/** Bytes of a bitmap over `blockCount` blocks. */
export function bitmapBytes(blockCount: number): number {
  return Math.ceil(blockCount / 8)
}

/** Raw length and payload length of a BLOCKS frame must fit its count and its encoding. @throws WireError BAD_FRAME. */
export function checkBlockBytes(
  blockCount: number,
  rawBytes: number,
  encoding: number,
  payloadBytes: number,
): void {
  const most = blockCount * blockSizeBytes
  if (rawBytes > most || rawBytes <= most - blockSizeBytes) {
    throw new WireError('BAD_FRAME', `Cannot accept ${rawBytes} bytes as ${blockCount} blocks`, {
      expected: `${most - blockSizeBytes + 1} to ${most}`,
      actual: rawBytes,
    })
  }
  if (encoding === encodings.RAW) {
    requireLength('BLOCKS', 'payload', rawBytes, payloadBytes)
    return
  }
  if (encoding !== encodings.ZSTD) {
    throw new WireError('BAD_FRAME', 'Cannot read a BLOCKS frame of an unknown encoding', {
      expected: Object.values(encodings).join(' or '),
      actual: encoding,
    })
  }
  if (payloadBytes === 0) requireLength('BLOCKS', 'payload', rawBytes, 0)
}
