/**
 * The header of a frame: its sixteen bytes, the limits that it must keep, and the counting of frames.
 * @module
 */
import { frameLimits, maxDiskIndex, noDiskIndex, typeByNumber } from './limits.ts'
import { messageTypes } from './message.ts'
import type { MessageType } from './message.ts'
import { WireError } from './wire_error.ts'

/** Sequence number of the first frame of a direction. */
export const firstSequence = 1

/** The sequence number after `sequence`. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) >>> 0
}

/** Whether `sequence` is `limit` or came before it, where both are less than 2^31 frames apart. */
export function isUpTo(sequence: number, limit: number): boolean {
  return ((limit - sequence) | 0) >= 0
}

/** What the header of a frame says. */
export interface FrameHeader {
  type: MessageType
  diskIndex: number
  metaLength: number
  payloadLength: number
  sequence: number
}

function badFrame(message: string, expected: string | number, actual: string | number): WireError {
  return new WireError('BAD_FRAME', message, { expected, actual })
}

function checkLimits(type: MessageType, diskIndex: number, metaLength: number, payloadLength: number): void {
  const limit = frameLimits[type]
  if (metaLength < limit.minMetaBytes || metaLength > limit.maxMetaBytes) {
    const expected = `${limit.minMetaBytes} to ${limit.maxMetaBytes}`
    throw badFrame(`Cannot accept ${metaLength} bytes of meta in a ${type} frame`, expected, metaLength)
  }
  if (payloadLength > limit.maxPayloadBytes) {
    const expected = `at most ${limit.maxPayloadBytes}`
    throw badFrame(
      `Cannot accept ${payloadLength} bytes of payload in a ${type} frame`,
      expected,
      payloadLength,
    )
  }
  const isDiskGood = limit.hasDisk ? diskIndex <= maxDiskIndex : diskIndex === noDiskIndex
  if (!isDiskGood) {
    const expected = limit.hasDisk ? `0 to ${maxDiskIndex}` : noDiskIndex
    throw badFrame(`Cannot accept disk index ${diskIndex} in a ${type} frame`, expected, diskIndex)
  }
}

/**
 * Writes `header` into the first `frameHeaderBytes` bytes of `into`.
 * @throws WireError BAD_FRAME for a frame that the other end would refuse.
 */
export function writeHeader(into: Buffer, header: FrameHeader): void {
  checkLimits(header.type, header.diskIndex, header.metaLength, header.payloadLength)
  into.writeUInt8(messageTypes[header.type], 0)
  into.writeUInt8(0, 1)
  into.writeUInt16LE(header.diskIndex, 2)
  into.writeUInt32LE(header.metaLength, 4)
  into.writeUInt32LE(header.payloadLength, 8)
  into.writeUInt32LE(header.sequence, 12)
}

/**
 * Reads a header of `frameHeaderBytes` bytes, which must be that of frame number `expectedSequence`.
 * @throws WireError BAD_FRAME or SEQUENCE_GAP.
 */
export function readHeader(bytes: Buffer, expectedSequence: number): FrameHeader {
  const number = bytes.readUInt8(0)
  const type = typeByNumber[number]
  if (type === undefined) throw badFrame('Cannot read a frame of an unknown type', 'a known type', number)
  const flags = bytes.readUInt8(1)
  if (flags !== 0) throw badFrame(`Cannot accept flags in a ${type} frame`, 0, flags)
  const header: FrameHeader = {
    type,
    diskIndex: bytes.readUInt16LE(2),
    metaLength: bytes.readUInt32LE(4),
    payloadLength: bytes.readUInt32LE(8),
    sequence: bytes.readUInt32LE(12),
  }
  checkLimits(type, header.diskIndex, header.metaLength, header.payloadLength)
  if (header.sequence === expectedSequence) return header
  throw new WireError('SEQUENCE_GAP', `Cannot accept a ${type} frame out of order`, {
    expected: expectedSequence,
    actual: header.sequence,
  })
}
