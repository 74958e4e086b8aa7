/**
 * Checkpoints: the small documents from which a replicator goes on after any end. Written last, whole or not at all.
 * @module
 */
import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'

/** What is known of a source server between runs. */
export const serverCheckpointSchema = z.object({
  /** The highest generation that was ever admitted; a lower one is fenced off. */
  generation: z.int().min(0),
  /** The consistency point at which later writes are held back. */
  held: z
    .object({
      consistencyPointId: z.string(),
      method: z.enum(['FROZEN', 'QUIET']),
      frozenMs: z.number(),
      roots: z.array(z.object({ diskIndex: z.int(), root: z.string() })),
      /** What was still to be read, where that is why a disk has no root. */
      unread: z.object({ unknownBytes: z.number(), bytesPerSecond: z.number() }).optional(),
    })
    .optional(),
})
export type ServerCheckpoint = z.infer<typeof serverCheckpointSchema>
export type HeldPoint = NonNullable<ServerCheckpoint['held']>

/** What is known of a volume between runs. */
export const volumeCheckpointSchema = z.object({
  /** Size of the source disk, on which the length of the last block depends. */
  sizeBytes: z.int(),
  segmentBlocks: z.int().min(1),
  /** Whether a block was ever written. Until then every byte is zero. */
  isWritten: z.boolean(),
  /** Segments in which data and index may disagree: the index is not believed there after an unclean end. */
  activeSegments: z.array(z.int().min(0)),
  /** A flush failed: what reads back in the active segments may be in memory alone. */
  isSuspect: z.boolean(),
  /** Names the copy: what was acknowledged under this name is there. Checkpoints of older versions have none. */
  copyId: z.string().optional(),
  /** Which data it was, where that can be told: see `openDataDisk`. */
  identity: z.string().optional(),
})
export type VolumeCheckpoint = z.infer<typeof volumeCheckpointSchema>

/** One document that is replaced as a whole. */
export interface DocumentStore<T> {
  /** Undefined while there is none. @throws Error when it is there and can't be understood. */
  read(): Promise<T | undefined>
  /** Durable when it resolves; after a crash the old or the new one is there. One call at a time. */
  write(document: T): Promise<void>
  remove(): Promise<void>
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** Makes changes of names in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A document as a JSON file: written beside, flushed, renamed, folder flushed. Readable by its owner alone. */
export class JsonFile<T> implements DocumentStore<T> {
  readonly #path: string
  readonly #schema: z.ZodType<T>
  readonly #whatToDo: string

  /** @param whatToDo when the file can't be understood, as it stands after a semicolon. */
  constructor(path: string, schema: z.ZodType<T>, whatToDo: string) {
    this.#path = path
    this.#schema = schema
    this.#whatToDo = whatToDo
  }

  async read(): Promise<T | undefined> {
    let text: string
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
    try {
      return this.#schema.parse(JSON.parse(text))
    } catch (cause) {
      throw new Error(`Cannot read ${this.#path}: it is damaged; ${this.#whatToDo}`, { cause })
    }
  }

  async write(document: T): Promise<void> {
    const next = `${this.#path}.next`
    const handle = await open(next, 'w', 0o600)
    try {
      await handle.writeFile(JSON.stringify(document))
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(next, this.#path)
    await syncFolder(dirname(this.#path))
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true })
  }
}
