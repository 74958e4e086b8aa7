/**
 * Frames: how the messages of the replication port stand as bytes in the stream.
 *
 * ```
 *  0      1      2          4            8               12          16
 *  type   flags  diskIndex  metaBytes    payloadBytes    sequence    meta …  payload …
 *  u8     u8 0   u16        u32          u32             u32         JSON or binary
 * ```
 * Little endian. `diskIndex` is 0xffff in a frame about no disk. `sequence` counts the frames of one direction of one connection from
 * 1, without gaps, modulo 2^32: after 0xffffffff comes 0.
 * @module
 */
import { decodeMeta, encodeMeta } from './frame_meta.ts'
import { frameHeaderBytes, frameLimits, maxDiskIndex, noDiskIndex, typeByNumber } from './limits.ts'
import { messageTypes } from './message.ts'
import type { Message, MessageType } from './message.ts'
import { WireError } from './wire_error.ts'

export { frameHeaderBytes, maxHashesPerFrame, maxMetaBytes, maxPayloadBytes } from './limits.ts'
export { WireError } from './wire_error.ts'

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

/** A message as bytes: `head` is header and meta, `payload` the caller's own bytes, uncopied and empty for most types. */
export interface EncodedFrame {
  head: Buffer
  payload: Uint8Array
  /** The number that an ACK will name. */
  sequence: number
  /** Bytes of both pieces together. */
  wireBytes: number
}

const noPayload = new Uint8Array(0)

/** Encodes one direction of one connection, numbering its frames. */
export class FrameEncoder {
  #sequence = firstSequence

  /** @param startSequence the first frame's number, other than 1 only in tests of the wrap-around. */
  constructor(startSequence = firstSequence) {
    this.#sequence = startSequence
  }

  /**
   * The next frame. The payload is not copied: it must stay as it is until it is written.
   * @throws RangeError, ZodError or WireError for a message that the other end would refuse; no number is used up then.
   */
  encode(message: Message): EncodedFrame {
    const head = encodeMeta(message, frameHeaderBytes)
    const payload = message.type === 'BLOCKS' ? message.payload : noPayload
    const diskIndex = 'diskIndex' in message ? message.diskIndex : noDiskIndex
    const metaLength = head.length - frameHeaderBytes
    const sequence = this.#sequence
    checkLimits(message.type, diskIndex, metaLength, payload.length)
    head.writeUInt8(messageTypes[message.type], 0)
    head.writeUInt8(0, 1)
    head.writeUInt16LE(diskIndex, 2)
    head.writeUInt32LE(metaLength, 4)
    head.writeUInt32LE(payload.length, 8)
    head.writeUInt32LE(sequence, 12)
    this.#sequence = nextSequence(sequence)
    return { head, payload, sequence, wireBytes: head.length + payload.length }
  }
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

interface Header {
  type: MessageType
  diskIndex: number
  metaLength: number
  payloadLength: number
  sequence: number
}

/** A decoded frame. */
export interface Frame {
  message: Message
  sequence: number
  /** Bytes it took on the wire. */
  wireBytes: number
}

/** Gives a buffer of at least `bytes` for a payload that arrives in pieces. */
export type PayloadAllocator = (bytes: number) => Uint8Array

/** The default allocator: one buffer for all, so that a payload is valid only until the next frame is asked for. */
function reusedBuffer(): PayloadAllocator {
  let buffer = Buffer.alloc(0)
  return (bytes) => {
    if (buffer.length < bytes) buffer = Buffer.allocUnsafeSlow(bytes)
    return buffer
  }
}

/** A buffer being filled from chunks. */
class Filling {
  readonly #target: Uint8Array
  readonly #bytes: number
  #filled = 0

  constructor(target: Uint8Array, bytes: number) {
    this.#target = target
    this.#bytes = bytes
  }

  /** Copies what is missing from `chunk` at `offset`; answers how much it took. */
  take(chunk: Uint8Array, offset: number): number {
    const count = Math.min(this.#bytes - this.#filled, chunk.length - offset)
    this.#target.set(chunk.subarray(offset, offset + count), this.#filled)
    this.#filled += count
    return count
  }

  /** What was filled, once it is whole. */
  whole(): Uint8Array | undefined {
    return this.#filled < this.#bytes ? undefined : this.#target.subarray(0, this.#bytes)
  }
}

/**
 * Decodes one direction of one connection from chunks cut anywhere. It holds at most one frame, and no more memory than that frame's
 * header was allowed to ask for. After it has thrown it must not be used again: the stream has lost its frames.
 *
 * A part of a frame that lies whole in a chunk is a view into that chunk; other metas are copied into their own memory, other payloads
 * into the allocator's. So hashes and bitmaps stay valid as long as the caller does not overwrite the chunks it fed, and payloads as
 * long as the allocator's buffer is not used again.
 */
export class FrameDecoder {
  readonly #allocate: PayloadAllocator
  #expectedSequence: number
  #header: Header | undefined
  #meta: Buffer | undefined
  #filling: Filling | undefined

  /**
   * @param options `allocate` gives memory to payloads that arrive in pieces; default: one buffer used again and again.
   * `startSequence` is the first frame's number, other than 1 only in tests of the wrap-around.
   */
  constructor(options: { allocate?: PayloadAllocator; startSequence?: number } = {}) {
    this.#allocate = options.allocate ?? reusedBuffer()
    this.#expectedSequence = options.startSequence ?? firstSequence
  }

  /** Whether a frame has begun and is not whole: a stream that ends now was cut. */
  get isMidFrame(): boolean {
    return this.#header !== undefined || this.#filling !== undefined
  }

  /**
   * The frames that `chunk` completes, one by one. Run it to its end before the next chunk is fed.
   * @throws WireError BAD_FRAME or SEQUENCE_GAP, before any memory is taken for what the frame announces.
   */
  *push(chunk: Uint8Array): Generator<Frame, void, void> {
    let offset = 0
    // A part may be empty, so a frame can complete without another byte.
    for (;;) {
      const part = this.#nextPart(chunk, offset)
      offset = part.offset
      if (part.bytes === undefined) return
      const frame = this.#accept(part.bytes)
      if (frame !== undefined) yield frame
    }
  }

  /** How long the part being read is: the header, then the meta, then the payload. */
  #partLength(): number {
    if (this.#header === undefined) return frameHeaderBytes
    return this.#meta === undefined ? this.#header.metaLength : this.#header.payloadLength
  }

  #nextPart(chunk: Uint8Array, offset: number): { bytes: Uint8Array | undefined; offset: number } {
    const length = this.#partLength()
    if (this.#filling === undefined) {
      if (chunk.length - offset >= length) {
        return { bytes: chunk.subarray(offset, offset + length), offset: offset + length }
      }
      if (chunk.length === offset) return { bytes: undefined, offset }
      const isPayload = this.#meta !== undefined
      this.#filling = new Filling(isPayload ? this.#allocate(length) : Buffer.allocUnsafe(length), length)
    }
    const taken = this.#filling.take(chunk, offset)
    const bytes = this.#filling.whole()
    if (bytes !== undefined) this.#filling = undefined
    return { bytes, offset: offset + taken }
  }

  /** Takes a whole part; answers the frame when it was the last. */
  #accept(bytes: Uint8Array): Frame | undefined {
    if (this.#header === undefined) {
      this.#header = this.#readHeader(asBuffer(bytes))
      return undefined
    }
    if (this.#meta === undefined) {
      this.#meta = asBuffer(bytes)
      return undefined
    }
    const header = this.#header
    const message = decodeMeta(header.type, header.diskIndex, this.#meta, bytes)
    this.#header = undefined
    this.#meta = undefined
    return {
      message,
      sequence: header.sequence,
      wireBytes: frameHeaderBytes + header.metaLength + header.payloadLength,
    }
  }

  #readHeader(bytes: Buffer): Header {
    const number = bytes.readUInt8(0)
    const type = typeByNumber[number]
    if (type === undefined) throw badFrame('Cannot read a frame of an unknown type', 'a known type', number)
    const flags = bytes.readUInt8(1)
    if (flags !== 0) throw badFrame(`Cannot accept flags in a ${type} frame`, 0, flags)
    const header: Header = {
      type,
      diskIndex: bytes.readUInt16LE(2),
      metaLength: bytes.readUInt32LE(4),
      payloadLength: bytes.readUInt32LE(8),
      sequence: bytes.readUInt32LE(12),
    }
    checkLimits(type, header.diskIndex, header.metaLength, header.payloadLength)
    if (header.sequence !== this.#expectedSequence) {
      throw new WireError('SEQUENCE_GAP', `Cannot accept a ${type} frame out of order`, {
        expected: this.#expectedSequence,
        actual: header.sequence,
      })
    }
    this.#expectedSequence = nextSequence(header.sequence)
    return header
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
