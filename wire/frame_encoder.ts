/**
 * Messages into frames.
 * @module
 */
import { firstSequence, nextSequence, writeHeader } from './frame_header.ts'
import { frameHeaderBytes, noDiskIndex } from './limits.ts'
import type { Message } from './message.ts'
import { encodeMeta } from './meta_encoder.ts'

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
    const payload = 'payload' in message ? message.payload : noPayload
    const diskIndex = 'diskIndex' in message ? message.diskIndex : noDiskIndex
    const metaLength = head.length - frameHeaderBytes
    const sequence = this.#sequence
    const { type } = message
    writeHeader(head, { type, diskIndex, metaLength, payloadLength: payload.length, sequence })
    this.#sequence = nextSequence(sequence)
    return { head, payload, sequence, wireBytes: head.length + payload.length }
  }
}
