/**
 * Frames into a stream: the little that both ends share around a socket.
 * @module
 */
import type { Writable } from 'node:stream'
import type { EncodedFrame } from './frame.ts'

/** Hands both pieces of `frame` to `stream` without joining them. Answers false when the caller should wait for `drain`. */
export function writeFrame(stream: Writable, frame: EncodedFrame): boolean {
  if (frame.payload.length === 0) return stream.write(frame.head)
  stream.cork()
  stream.write(frame.head)
  const isRoomLeft = stream.write(frame.payload)
  stream.uncork()
  return isRoomLeft
}
