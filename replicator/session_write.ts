/**
 * One write of a connection, from its frame to the moment when it is durable.
 * @module
 */
import { encodings } from '../wire/message.ts'
import type { Message } from '../wire/message.ts'
import { asWireError } from '../wire/wire_error.ts'
import type { WireError } from '../wire/wire_error.ts'
import { indexBytes, indexChunkBlocks } from './hash_index.ts'
import type { Volume } from './volume.ts'
import type { WriteCount } from './write_count.ts'

/** A message that writes. */
export type WriteMessage = Extract<Message, { type: 'BLOCKS' | 'PIECES' | 'ZEROS' }>

/** Whether `message` writes. */
export function isWrite(message: Message): message is WriteMessage {
  return message.type === 'BLOCKS' || message.type === 'PIECES' || message.type === 'ZEROS'
}

/** Raw bytes that `message` counts against the window of its connection. */
export function rawBytesOf(message: WriteMessage): number {
  return message.type === 'ZEROS' ? 0 : message.rawBytes
}

/** Bytes that handling `message` takes at most: its payload, what comes out of it, or the part of the index that is read. */
export function memoryOfWrite(message: WriteMessage): number {
  if (message.type !== 'ZEROS')
    return message.encoding === encodings.RAW ? message.rawBytes : message.rawBytes + message.payload.length
  return indexBytes(Math.min(message.blockCount, indexChunkBlocks))
}

/** What is told of a write. */
export interface WriteObserver {
  writes: WriteCount
  /** Nothing reads the message any more. */
  onSettled: () => void
  onDurable: () => void
  onError: (error: WireError) => void
}

/**
 * Starts the write; it takes its place among those to the same blocks before this returns. Told are first `onSettled`, then `onDurable` or
 * `onError`; the write is counted until then.
 */
export function startWrite(volume: Volume, message: WriteMessage, observer: WriteObserver): void {
  const { writes, onSettled, onDurable, onError } = observer
  writes.begin()
  const work = async (): Promise<void> => {
    try {
      if (message.type === 'BLOCKS') await volume.writeBlocks(message)
      else if (message.type === 'PIECES') await volume.writePieces(message)
      else await volume.writeZeros(message.firstBlock, message.blockCount)
    } finally {
      onSettled()
    }
    await volume.durable()
    onDurable()
  }
  work()
    .catch((error: unknown) => onError(asWireError(error)))
    .finally(() => writes.end())
    // The handlers above do not throw; this tells the checker so.
    .catch((error: unknown) => onError(asWireError(error)))
}
