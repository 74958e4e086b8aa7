/**
 * What holds of the meta parts in both directions: lengths and counts that fit each other.
 * @module
 */
import { blockSizeBytes, pieceSizeBytes } from '../domain/units.ts'
import {
  barrierReachedSchema,
  barrierSchema,
  encodings,
  helloSchema,
  statusSchema,
  toReadSchema,
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
  TO_READ: toReadSchema,
  ERROR: wireErrorSchema,
} as const
export type BodyType = keyof typeof bodySchemas

/** @throws WireError BAD_FRAME when a frame is of nothing or of more than `most`. */
export function requireCount(type: MessageType, count: number, most: number): void {
  if (count >= 1 && count <= most) return
  throw new WireError('BAD_FRAME', `Cannot accept a ${type} frame of ${count} ${unitOf(type).name}`, {
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

/** What a frame of a type counts. */
function unitOf(type: MessageType): { name: string; bytes: number } {
  return type === 'PIECES'
    ? { name: 'pieces', bytes: pieceSizeBytes }
    : { name: 'blocks', bytes: blockSizeBytes }
}

/** What a frame that carries bytes says of them. */
export interface CarriedBytes {
  /** Blocks or pieces. */
  count: number
  rawBytes: number
  encoding: number
  payloadBytes: number
}

/** Raw length and payload length of a frame must fit its count and its encoding. @throws WireError BAD_FRAME. */
export function checkBytes(type: 'BLOCKS' | 'PIECES', carried: CarriedBytes): void {
  const { count, rawBytes, encoding, payloadBytes } = carried
  const unit = unitOf(type)
  const most = count * unit.bytes
  if (rawBytes > most || rawBytes <= most - unit.bytes) {
    throw new WireError('BAD_FRAME', `Cannot accept ${rawBytes} bytes as ${count} ${unit.name}`, {
      expected: `${most - unit.bytes + 1} to ${most}`,
      actual: rawBytes,
    })
  }
  if (encoding === encodings.RAW) {
    requireLength(type, 'payload', rawBytes, payloadBytes)
    return
  }
  if (encoding !== encodings.ZSTD) {
    throw new WireError('BAD_FRAME', `Cannot read a ${type} frame of an unknown encoding`, {
      expected: Object.values(encodings).join(' or '),
      actual: encoding,
    })
  }
  if (payloadBytes === 0) requireLength(type, 'payload', rawBytes, 0)
}
