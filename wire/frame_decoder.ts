/**
 * Frames into messages, from a stream that the transport may cut anywhere.
 * @module
 */
import { firstSequence, nextSequence, readHeader } from './frame_header.ts'
import type { FrameHeader } from './frame_header.ts'
import { frameHeaderBytes } from './limits.ts'
import type { Message } from './message.ts'
import { decodeMeta } from './meta_decoder.ts'

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

  /** Bytes that are not there yet. */
  get missingBytes(): number {
    return this.#bytes - this.#filled
  }

  /** Copies what is missing from `chunk` at `offset`; answers how much it took. */
  take(chunk: Uint8Array, offset: number): number {
    const count = Math.min(this.missingBytes, chunk.length - offset)
    this.#target.set(count === chunk.length ? chunk : chunk.subarray(offset, offset + count), this.#filled)
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
  #header: FrameHeader | undefined
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
   * Takes `chunk` if all of it lies inside one part and completes nothing, which most of a stream of blocks does. Otherwise answers false, and
   * the chunk is for {@link push}.
   */
  absorb(chunk: Uint8Array): boolean {
    const filling = this.#filling
    if (filling === undefined || filling.missingBytes <= chunk.length) return false
    filling.take(chunk, 0)
    return true
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
      this.#header = readHeader(asBuffer(bytes), this.#expectedSequence)
      this.#expectedSequence = nextSequence(this.#expectedSequence)
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
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
