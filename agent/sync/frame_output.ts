/**
 * Frames on their way into a socket. Large pieces are handed to it one at a time: what a TLS socket is given while it is busy it later joins into
 * new memory, which costs a copy of every byte and, by the memory that is freed again, collections of garbage. Small pieces go together, as each
 * write has its own price.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { EncodedFrame } from '../../wire/frame.ts'

/** Bytes that are written together at most; joining so few costs less than another write. */
const togetherBytes = 65_536

interface Piece {
  bytes: Uint8Array
  /** Nothing reads the bytes any more. */
  onWritten: (() => void) | undefined
}

/** The writing half of one connection. */
export class FrameOutput {
  readonly #socket: Duplex
  readonly #onProgress: () => void
  readonly #waiting: Piece[] = []
  #isWriting = false
  #waitingBytes = 0

  /** @param onProgress called when the socket has taken something. */
  constructor(socket: Duplex, onProgress: () => void) {
    this.#socket = socket
    this.#onProgress = onProgress
  }

  /** Bytes that the socket has not taken yet. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Adds a frame. Its payload must stay as it is until `onWritten` is called, which a broken socket does not. */
  add({ head, payload }: EncodedFrame, onWritten?: () => void): void {
    const hasPayload = payload.length > 0
    this.#push({ bytes: head, onWritten: hasPayload ? undefined : onWritten })
    if (hasPayload) this.#push({ bytes: payload, onWritten })
    if (!this.#isWriting) this.#writeNext()
  }

  #push(piece: Piece): void {
    this.#waiting.push(piece)
    this.#waitingBytes += piece.bytes.length
  }

  #writeNext(): void {
    const pieces = this.#takeNext()
    this.#isWriting = pieces.length > 0
    if (!this.#isWriting) return
    // The end of the last one is the end of all.
    const onWritten = (error?: Error | null): void => {
      // The socket tells of its error itself.
      if (error !== undefined && error !== null) return
      for (const piece of pieces) {
        this.#waitingBytes -= piece.bytes.length
        piece.onWritten?.()
      }
      this.#writeNext()
      this.#onProgress()
    }
    this.#socket.cork()
    for (const [index, { bytes }] of pieces.entries())
      this.#socket.write(bytes, index === pieces.length - 1 ? onWritten : undefined)
    this.#socket.uncork()
  }

  /** A large piece, or small ones that are not too much together. */
  #takeNext(): Piece[] {
    let count = 0
    let bytes = 0
    for (const piece of this.#waiting) {
      bytes += piece.bytes.length
      if (count > 0 && bytes > togetherBytes) break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }
}
