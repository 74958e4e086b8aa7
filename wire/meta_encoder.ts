/**
 * The meta part of each frame, from message to bytes. Numbers are little endian; what is not binary is JSON that its schema accepts.
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
} from './limits.ts'
import { hashBytes } from './message.ts'
import type { Message } from './message.ts'
import { bitmapBytes, bodySchemas, checkBytes, requireCount, requireLength, twoTo32 } from './meta_checks.ts'
import type { BodyType } from './meta_checks.ts'
import { encodePieces } from './piece_list.ts'

function writeFirstBlock(meta: Buffer, firstBlock: number): void {
  if (!Number.isInteger(firstBlock) || firstBlock < 0 || firstBlock >= maxBlocksPerDisk) {
    throw new RangeError(
      `Cannot send first block ${firstBlock}: it must be from 0 to ${maxBlocksPerDisk - 1}`,
    )
  }
  meta.writeUInt32LE(firstBlock % twoTo32, 0)
  meta.writeUInt32LE(Math.floor(firstBlock / twoTo32), 4)
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
      const { blockCount: count, rawBytes, encoding } = message
      checkBytes('BLOCKS', { count, rawBytes, encoding, payloadBytes: message.payload.length })
      const [whole, meta] = withRoom(metaBytes.BLOCKS + message.hashes.length)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(message.rawBytes, 8)
      meta.writeUInt16LE(message.blockCount, 12)
      meta.writeUInt8(message.encoding, 14)
      meta.writeUInt8(0, 15)
      meta.set(message.hashes, metaBytes.BLOCKS)
      return whole
    }
    case 'PIECES': {
      const { pieces, rawBytes, encoding, hash, payload } = message
      requireCount('PIECES', pieces.length, maxPiecesPerFrame)
      requireLength('PIECES', 'hash', hashBytes, hash.length)
      checkBytes('PIECES', { count: pieces.length, rawBytes, encoding, payloadBytes: payload.length })
      const list = encodePieces(pieces)
      const [whole, meta] = withRoom(metaBytes.PIECES + list.length)
      meta.writeUInt32LE(rawBytes, 0)
      meta.writeUInt16LE(pieces.length, 4)
      meta.writeUInt8(encoding, 6)
      meta.writeUInt8(0, 7)
      meta.set(hash, 8)
      meta.set(list, metaBytes.PIECES)
      return whole
    }
    case 'ZEROS':
    case 'DAMAGED': {
      const [whole, meta] = withRoom(metaBytes[message.type])
      requireCount(message.type, message.blockCount, twoTo32 - 1)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(message.blockCount, 8)
      return whole
    }
    case 'ACK': {
      const [whole, meta] = withRoom(metaBytes.ACK)
      meta.writeUInt32LE(message.upToSequence, 0)
      return whole
    }
    case 'HASHES':
    case 'VERIFY': {
      const { type, blockCount, hashes } = message
      requireCount(type, blockCount, type === 'HASHES' ? maxHashesPerFrame : maxBlocksPerVerify)
      requireLength(type, 'list of hashes', blockCount * hashBytes, hashes.length)
      const [whole, meta] = withRoom(metaBytes[type] + hashes.length)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(blockCount, 8)
      meta.set(hashes, metaBytes[type])
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
    case 'VERIFIED': {
      const { type, blockCount, root, differing, damaged } = message
      requireCount(type, blockCount, maxBlocksPerVerify)
      requireLength(type, 'root', hashBytes, root.length)
      for (const bitmap of [differing, damaged])
        requireLength(type, 'bitmap', bitmapBytes(blockCount), bitmap.length)
      const [whole, meta] = withRoom(metaBytes.VERIFIED + differing.length + damaged.length)
      writeFirstBlock(meta, message.firstBlock)
      meta.writeUInt32LE(blockCount, 8)
      meta.set(root, 12)
      meta.set(differing, metaBytes.VERIFIED)
      meta.set(damaged, metaBytes.VERIFIED + differing.length)
      return whole
    }
    case 'PING':
    case 'PONG':
    case 'PREPARE':
    case 'GOODBYE':
      return withRoom(0)[0]
    case 'HELLO':
    case 'WELCOME':
    case 'BARRIER':
    case 'BARRIER_REACHED':
    case 'TO_READ':
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
