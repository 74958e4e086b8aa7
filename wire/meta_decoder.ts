/**
 * The meta part of each frame, from bytes to message.
 * @module
 */
import { unreachable } from '../domain/errors.ts'
import { maxExtentBlocks } from '../domain/units.ts'
import {
  maxBlocksPerDisk,
  maxBlocksPerVerify,
  maxHashesPerFrame,
  maxPiecesPerFrame,
  metaBytes,
  pieceNumberBytes,
} from './limits.ts'
import { hashBytes } from './message.ts'
import type { Encoding, Message, MessageType } from './message.ts'
import { bitmapBytes, bodySchemas, checkBytes, requireCount, requireLength, twoTo32 } from './meta_checks.ts'
import type { BodyType } from './meta_checks.ts'
import { decodePieces } from './piece_list.ts'
import { WireError } from './wire_error.ts'

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
      checkBytes(type, { count: blockCount, rawBytes, encoding, payloadBytes: payload.length })
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
    case 'PIECES': {
      const rawBytes = meta.readUInt32LE(0)
      const count = meta.readUInt16LE(4)
      const encoding = meta.readUInt8(6)
      requireLength(type, 'reserved byte', 0, meta.readUInt8(7))
      requireCount(type, count, maxPiecesPerFrame)
      requireLength(type, 'list of pieces', count * pieceNumberBytes, meta.length - metaBytes.PIECES)
      checkBytes(type, { count, rawBytes, encoding, payloadBytes: payload.length })
      return {
        type,
        diskIndex,
        pieces: decodePieces(meta.subarray(metaBytes.PIECES)),
        rawBytes,
        encoding: encoding as Encoding,
        hash: meta.subarray(8, metaBytes.PIECES),
        payload,
      }
    }
    case 'ZEROS':
    case 'DAMAGED': {
      const blockCount = meta.readUInt32LE(8)
      requireCount(type, blockCount, twoTo32 - 1)
      return { type, diskIndex, firstBlock: readFirstBlock(meta, type), blockCount }
    }
    case 'ACK':
      return { type, upToSequence: meta.readUInt32LE(0) }
    case 'HASHES':
    case 'VERIFY': {
      const blockCount = meta.readUInt32LE(8)
      requireCount(type, blockCount, type === 'HASHES' ? maxHashesPerFrame : maxBlocksPerVerify)
      requireLength(type, 'list of hashes', blockCount * hashBytes, meta.length - metaBytes[type])
      return {
        type,
        diskIndex,
        firstBlock: readFirstBlock(meta, type),
        blockCount,
        hashes: meta.subarray(metaBytes[type]),
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
    case 'VERIFIED': {
      const blockCount = meta.readUInt32LE(8)
      requireCount(type, blockCount, maxBlocksPerVerify)
      const length = bitmapBytes(blockCount)
      requireLength(type, 'pair of bitmaps', 2 * length, meta.length - metaBytes.VERIFIED)
      return {
        type,
        diskIndex,
        firstBlock: readFirstBlock(meta, type),
        blockCount,
        root: meta.subarray(12, metaBytes.VERIFIED),
        differing: meta.subarray(metaBytes.VERIFIED, metaBytes.VERIFIED + length),
        damaged: meta.subarray(metaBytes.VERIFIED + length),
      }
    }
    case 'PING':
    case 'PONG':
    case 'PREPARE':
    case 'GOODBYE':
      return { type }
    case 'HELLO':
    case 'WELCOME':
    case 'BARRIER':
    case 'BARRIER_REACHED':
    case 'TO_READ':
    case 'STATUS':
    case 'ERROR':
      // The schema of this type has just accepted the body.
      return { type, body: decodeBody(type, meta) } as Message
    default:
      return unreachable(type)
  }
}
