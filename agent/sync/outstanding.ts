/**
 * What was sent over one connection and is not acknowledged yet.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import { blockSizeBytes, pieceSizeBytes, piecesPerBlock } from '../../domain/units.ts'
import { isUpTo } from '../../wire/frame.ts'
import type { Message } from '../../wire/message.ts'

/** Blocks that are on their way. */
export interface SentExtent extends Extent {
  diskIndex: number
}

/** A message that writes. */
export type WriteMessage = Extract<Message, { type: 'BLOCKS' | 'PIECES' | 'ZEROS' }>

/** A frame that waits to be acknowledged. */
export interface SentFrame {
  sequence: number
  diskIndex: number
  /** Blocks that it wrote, or of which it wrote pieces. */
  extents: readonly Extent[]
  /** Its bytes before compression; zeros have none. */
  rawBytes: number
  /** The same as they crossed the wire. */
  payloadBytes: number
  /** Bytes of the disk that it is about. */
  diskBytes: number
}

/** What must be remembered of `message` until it is acknowledged. */
export function sentFrame(message: WriteMessage, sequence: number): SentFrame {
  const { diskIndex } = message
  if (message.type === 'PIECES') {
    const blocks = new Set(message.pieces.map((piece) => Math.floor(piece / piecesPerBlock)))
    return {
      sequence,
      diskIndex,
      extents: [...blocks].map((firstBlock) => ({ firstBlock, blockCount: 1 })),
      rawBytes: message.rawBytes,
      payloadBytes: message.payload.length,
      diskBytes: message.pieces.length * pieceSizeBytes,
    }
  }
  const { firstBlock, blockCount } = message
  const [rawBytes, payloadBytes] =
    message.type === 'BLOCKS' ? [message.rawBytes, message.payload.length] : [0, 0]
  const diskBytes = blockCount * blockSizeBytes
  return { sequence, diskIndex, extents: [{ firstBlock, blockCount }], rawBytes, payloadBytes, diskBytes }
}

/** Sent extents in the order of sending, until they are acknowledged in that order. */
export class Outstanding {
  readonly #sent: SentFrame[] = []
  #rawBytes = 0
  readonly #acknowledgedBlocks = new Map<number, number>()
  #acknowledgedBytes = 0
  #acknowledgedPayloadBytes = 0
  readonly #bytesByDisk = new Map<number, number>()

  /** Frames not acknowledged. */
  get frames(): number {
    return this.#sent.length
  }

  /** Extents, oldest first. */
  get extents(): SentExtent[] {
    return this.#sent.flatMap(({ diskIndex, extents }) => extents.map((extent) => ({ diskIndex, ...extent })))
  }

  /** Whether any of these blocks is on its way. */
  has({ diskIndex, firstBlock, blockCount }: SentExtent): boolean {
    return this.#sent.some(
      (frame) =>
        frame.diskIndex === diskIndex &&
        frame.extents.some(
          (own) => own.firstBlock < firstBlock + blockCount && firstBlock < own.firstBlock + own.blockCount,
        ),
    )
  }

  /** Bytes of a disk that are on their way. */
  bytesOf(diskIndex: number): number {
    return this.#bytesByDisk.get(diskIndex) ?? 0
  }

  /** Their bytes before compression; zeros count nothing. */
  get rawBytes(): number {
    return this.#rawBytes
  }

  /** The frame sent last; undefined when everything is acknowledged. */
  get lastSequence(): number | undefined {
    return this.#sent.at(-1)?.sequence
  }

  /** A frame was sent. */
  add(frame: SentFrame): void {
    this.#sent.push(frame)
    this.#rawBytes += frame.rawBytes
    this.#addBytes(frame.diskIndex, frame.diskBytes)
  }

  /** Everything up to frame `sequence` is durable. */
  acknowledge(sequence: number): void {
    for (;;) {
      const first = this.#sent[0]
      if (first === undefined || !isUpTo(first.sequence, sequence)) return
      this.#sent.shift()
      this.#rawBytes -= first.rawBytes
      this.#addBytes(first.diskIndex, -first.diskBytes)
      this.#acknowledgedBytes += first.diskBytes
      this.#acknowledgedPayloadBytes += first.payloadBytes
      const blocks = first.extents.reduce((sum, extent) => sum + extent.blockCount, 0)
      this.#acknowledgedBlocks.set(first.diskIndex, this.acknowledgedBlocks(first.diskIndex) + blocks)
    }
  }

  #addBytes(diskIndex: number, bytes: number): void {
    this.#bytesByDisk.set(diskIndex, this.bytesOf(diskIndex) + bytes)
  }

  /** Whether everything up to frame `sequence` is acknowledged. */
  isAcknowledged(sequence: number): boolean {
    const first = this.#sent[0]
    return first === undefined || !isUpTo(first.sequence, sequence)
  }

  /** Bytes of all disks that were acknowledged. */
  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes
  }

  /** Payload that was acknowledged, as it crossed the wire. */
  get acknowledgedPayloadBytes(): number {
    return this.#acknowledgedPayloadBytes
  }

  /** Blocks of a disk that were acknowledged. */
  acknowledgedBlocks(diskIndex: number): number {
    return this.#acknowledgedBlocks.get(diskIndex) ?? 0
  }
}
