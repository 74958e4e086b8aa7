/**
 * The meta part of each frame: message to bytes and back. Numbers are little endian; what is not binary is JSON that its schema accepts.
 * @module
 */
import { unreachable } from '../domain/errors.ts'
import { blockSizeBytes, maxExtentBlocks } from '../domain/units.ts'
import { maxBlocksPerDisk, maxHashesPerFrame, metaBytes } from './limits.ts'
import {
  barrierReachedSchema,
  barrierSchema,
  encodings,
  hashBytes,
  helloSchema,
  statusSchema,
  welcomeSchema,
  wireErrorSchema,
} from './message.ts'
import type { Encoding, Message, MessageType } from './message.ts'
import { WireError } from './wire_error.ts'

const twoTo32 = 2 ** 32

const bodySchemas = {
  HELLO: helloSchema,
  WELCOME: welcomeSchema,
  BARRIER: barrierSchema,
  BARRIER_REACHED: barrierReachedSchema,
  STATUS: statusSchema,
  ERROR: wireErrorSchema,
} as const
type BodyType = keyof typeof bodySchemas

function readFirstBlock(meta: Buffer, type: MessageType): number {
  const firstBlock = meta.readUInt32LE(4) * twoTo32 + meta.readUInt32LE(0)
  if (firstBlock >= maxBlocksPerDisk) {
    throw new WireError(
      'BAD_FRAME',
      `Cannot read the first block of a ${type} frame: no disk is that large`,
      {
        expected: `below ${maxBlocksPerDisk}`,
        actual: firstBlock,
      },
    )
  }
  return firstBlock
}

function writeFirstBlock(meta: Buffer, firstBlock: number): void {
  if (!Number.isInteger(firstBlock) || firstBlock < 0 || firstBlock >= maxBlocksPerDisk) {
    throw new RangeError(
      `Cannot send first block ${firstBlock}: it must be from 0 to ${maxBlocksPerDisk - 1}`,
    )
  }
  meta.writeUInt32LE(firstBlock % twoTo32, 0)
  meta.writeUInt32LE(Math.floor(firstBlock / twoTo32), 4)
}

function requireCount(type: MessageType, count: number, most: number): void {
  if (count >= 1 && count <= most) return
  throw new WireError('BAD_FRAME', `Cannot accept a ${type} frame of ${count} blocks`, {
    expected: `1 to ${most}`,
    actual: count,
  })
}

function requireLength(type: MessageType, part: string, expected: number, actual: number): void {
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

function encodeBody(type: BodyType, body: unknown): Buffer {
  return Buffer.from(JSON.stringify(bodySchemas[type].parse(body)))
}

/**
 * The meta bytes of `message`, `reserve` bytes of free room before them for the header.
 * @throws RangeError, ZodError, WireError when the message is not one that may be sent.
 */
export function encodeMeta(message: Message, reserve: number): Buffer {
  const withRoom = (length: number): [whole: Buffer, meta: Buffer] => {
    const whole = Buffer.allocUnsafe(reserve + length)
    return [whole, whole.subarray(reserve)]
  }
  switch (message.type) {
    case 'BLOCKS': {
      requireCount('BLOCKS', message.blockCount, maxExtentBlocks)
      requireLength('BLOCKS', 'list of hashes', message.blockCount * hashBytes, message.hashes.length)
      checkBlockBytes(message.blockCount, message.rawBytes, message.encoding, message.payload.length)
      const [whole, meta] = withRoom(metaBytes.BLOCKS + message.hashes.length)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(message.rawBytes, 8)
      meta.writeUInt16LE(message.blockCount, 12)
      meta.writeUInt8(message.encoding, 14)
      meta.writeUInt8(0, 15)
      meta.set(message.hashes, metaBytes.BLOCKS)
      return whole
    }
    case 'ZEROS': {
      const [whole, meta] = withRoom(metaBytes.ZEROS)
      requireCount('ZEROS', message.blockCount, twoTo32 - 1)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(message.blockCount, 8)
      return whole
    }
    case 'ACK': {
      const [whole, meta] = withRoom(metaBytes.ACK)
      meta.writeUInt32LE(message.upToSequence, 0)
      return whole
    }
    case 'HASHES': {
      requireCount('HASHES', message.blockCount, maxHashesPerFrame)
      requireLength('HASHES', 'list of hashes', message.blockCount * hashBytes, message.hashes.length)
      const [whole, meta] = withRoom(metaBytes.HASHES + message.hashes.length)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(message.blockCount, 8)
      meta.set(message.hashes, metaBytes.HASHES)
      return whole
    }
    case 'DIFFERENCES': {
      requireCount('DIFFERENCES', message.blockCount, maxHashesPerFrame)
      requireLength('DIFFERENCES', 'bitmap', bitmapBytes(message.blockCount), message.bitmap.length)
      const [whole, meta] = withRoom(metaBytes.DIFFERENCES + message.bitmap.length)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(message.blockCount, 8)
      meta.set(message.bitmap, metaBytes.DIFFERENCES)
      return whole
    }
    case 'PING':
    case 'PONG':
    case 'GOODBYE':
      return withRoom(0)[0]
    case 'HELLO':
    case 'WELCOME':
    case 'BARRIER':
    case 'BARRIER_REACHED':
    case 'STATUS':
    case 'ERROR': {
      const body = encodeBody(message.type, message.body)
      const [whole, meta] = withRoom(body.length)
      meta.set(body)
      return whole
    }
    default:
      return unreachable(message)
  }
}

/** Raw length and payload length of a BLOCKS frame must fit its count and its encoding. */
function checkBlockBytes(blockCount: number, rawBytes: number, encoding: number, payloadBytes: number): void {
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

function decodeBody(type: BodyType, meta: Buffer): unknown {
  let value: unknown
  try {
    value = JSON.parse(meta.toString('utf8'))
  } catch (cause) {
    throw new WireError('BAD_FRAME', `Cannot read a ${type} frame: its meta is not JSON`, { cause })
  }
  const result = bodySchemas[type].safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]
    const where = issue === undefined ? '' : ` at ${issue.path.join('.') || 'the top'}: ${issue.message}`
    throw new WireError('BAD_FRAME', `Cannot accept a ${type} frame${where}`, { cause: result.error })
  }
  return result.data
}

/**
 * The message behind `meta` and `payload`, whose lengths are within the limits of `type`. Hashes, bitmap and payload are views.
 * @throws WireError BAD_FRAME.
 */
export function decodeMeta(type: MessageType, diskIndex: number, meta: Buffer, payload: Uint8Array): Message {
  switch (type) {
    case 'BLOCKS': {
      const rawBytes = meta.readUInt32LE(8)
      const blockCount = meta.readUInt16LE(12)
      const encoding = meta.readUInt8(14)
      requireLength(type, 'reserved byte', 0, meta.readUInt8(15))
      requireCount(type, blockCount, maxExtentBlocks)
      requireLength(type, 'list of hashes', blockCount * hashBytes, meta.length - metaBytes.BLOCKS)
      checkBlockBytes(blockCount, rawBytes, encoding, payload.length)
      return {
        type,
        diskIndex,
        firstBlock: readFirstBlock(meta, type),
        blockCount,
        rawBytes,
        encoding: encoding as Encoding,
        hashes: meta.subarray(metaBytes.BLOCKS),
        payload,
      }
    }
    case 'ZEROS': {
      const blockCount = meta.readUInt32LE(8)
      requireCount(type, blockCount, twoTo32 - 1)
      return { type, diskIndex, firstBlock: readFirstBlock(meta, type), blockCount }
    }
    case 'ACK':
      return { type, upToSequence: meta.readUInt32LE(0) }
    case 'HASHES': {
      const blockCount = meta.readUInt32LE(8)
      requireCount(type, blockCount, maxHashesPerFrame)
      requireLength(type, 'list of hashes', blockCount * hashBytes, meta.length - metaBytes.HASHES)
      return {
        type,
        diskIndex,
        firstBlock: readFirstBlock(meta, type),
        blockCount,
        hashes: meta.subarray(metaBytes.HASHES),
      }
    }
    case 'DIFFERENCES': {
      const blockCount = meta.readUInt32LE(8)
      requireCount(type, blockCount, maxHashesPerFrame)
      requireLength(type, 'bitmap', bitmapBytes(blockCount), meta.length - metaBytes.DIFFERENCES)
      return {
        type,
        diskIndex,
        firstBlock: readFirstBlock(meta, type),
        blockCount,
        bitmap: meta.subarray(metaBytes.DIFFERENCES),
      }
    }
    case 'PING':
    case 'PONG':
    case 'GOODBYE':
      return { type }
    case 'HELLO':
    case 'WELCOME':
    case 'BARRIER':
    case 'BARRIER_REACHED':
    case 'STATUS':
    case 'ERROR':
      // The schema of this type has just accepted the body.
      return { type, body: decodeBody(type, meta) } as Message
    default:
      return unreachable(type)
  }
}
