/**
 * A file as the body of an answer. Nothing is opened before somebody reads: the answer to a HEAD request has a body that nobody reads or
 * cancels, and each would keep a file open for ever.
 * @module
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

const chunkBytes = 256 * 1024

/** The first `sizeBytes` bytes of `path`, read as they are taken. The stream fails when the file is shorter by then. */
export function fileStream(path: string, sizeBytes: number): ReadableStream<Uint8Array> {
  let handle: FileHandle | undefined
  let position = 0
  const close = async (): Promise<void> => {
    await handle?.close()
    handle = undefined
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          handle ??= await open(path)
          const wanted = Math.min(chunkBytes, sizeBytes - position)
          const { bytesRead, buffer } = await handle.read(new Uint8Array(wanted), 0, wanted, position)
          if (bytesRead === 0 && wanted > 0) throw new Error(`Cannot send ${path}: it became shorter`)
          position += bytesRead
          if (bytesRead > 0) controller.enqueue(buffer.subarray(0, bytesRead))
          if (position < sizeBytes) return
          await close()
          controller.close()
        } catch (error) {
          await close()
          throw error
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  )
}
