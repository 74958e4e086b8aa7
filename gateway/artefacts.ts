/**
 * Files that a launch leaves for its job's page: serial log, screenshot, conversion report, output of actions. The workers write them under the data
 * folder; names are fixed, so nothing a caller sends becomes a path.
 * @module
 */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobId, SourceServerId } from '../domain/ids.ts'
import { isId } from '../domain/ids.ts'
import { fileStream } from './file_stream.ts'

/** What may be there, with its content type. */
export const artefactTypes = {
  'serial.log': 'text/plain; charset=utf-8',
  'screenshot.png': 'image/png',
  'conversion.json': 'application/json',
  'actions.log': 'text/plain; charset=utf-8',
} as const
export type ArtefactName = keyof typeof artefactTypes

/** Whether `name` is a known artefact. */
export function isArtefactName(name: string): name is ArtefactName {
  return Object.hasOwn(artefactTypes, name)
}

/** Reads artefacts. Each answers undefined when there is none (yet). */
export interface Artefacts {
  /** The whole of it, to be sent. */
  open(
    jobId: JobId,
    sourceServerId: SourceServerId,
    name: ArtefactName,
  ): Promise<{ body: ReadableStream<Uint8Array>; sizeBytes: number } | undefined>
  /** Its last `maxBytes` bytes: pages look every second, and a console may have said a lot. */
  readEnd(
    jobId: JobId,
    sourceServerId: SourceServerId,
    name: ArtefactName,
    maxBytes: number,
  ): Promise<Uint8Array | undefined>
}

/** Artefacts in `<folder>/<job>/<server>/<name>`. */
export class FileArtefacts implements Artefacts {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async open(
    jobId: JobId,
    sourceServerId: SourceServerId,
    name: ArtefactName,
  ): Promise<{ body: ReadableStream<Uint8Array>; sizeBytes: number } | undefined> {
    const path = this.#pathOf(jobId, sourceServerId, name)
    if (path === undefined) return undefined
    const found = await unlessMissing(stat(path))
    return found && { body: fileStream(path, found.size), sizeBytes: found.size }
  }

  async readEnd(
    jobId: JobId,
    sourceServerId: SourceServerId,
    name: ArtefactName,
    maxBytes: number,
  ): Promise<Uint8Array | undefined> {
    const path = this.#pathOf(jobId, sourceServerId, name)
    const handle = path === undefined ? undefined : await unlessMissing(open(path))
    if (handle === undefined) return undefined
    try {
      const { size } = await handle.stat()
      const length = Math.min(size, maxBytes)
      const { bytesRead, buffer } = await handle.read(new Uint8Array(length), 0, length, size - length)
      return buffer.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  }

  /** Undefined for what is no id: only ids become folders. */
  #pathOf(jobId: JobId, sourceServerId: SourceServerId, name: ArtefactName): string | undefined {
    return isId('job', jobId) && isId('sourceServer', sourceServerId)
      ? join(this.#folder, jobId, sourceServerId, name)
      : undefined
  }
}

/** The result of `work`, or undefined when the file is not there. */
async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
