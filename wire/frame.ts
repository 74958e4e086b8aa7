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
export { FrameDecoder } from './frame_decoder.ts'
export type { Frame, PayloadAllocator } from './frame_decoder.ts'
export { FrameEncoder } from './frame_encoder.ts'
export type { EncodedFrame } from './frame_encoder.ts'
export { firstSequence, isUpTo, nextSequence } from './frame_header.ts'
export {
  frameHeaderBytes,
  maxBlocksPerVerify,
  maxHashesPerFrame,
  maxMetaBytes,
  maxPayloadBytes,
} from './limits.ts'
export { WireError } from './wire_error.ts'
