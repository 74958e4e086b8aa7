/**
 * Files that a launch leaves for its job's page: serial log, screenshot, conversion report. The workers write them under the data
 * folder; names are fixed, so nothing a caller sends becomes a path.
 * @module
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobId, SourceServerId } from '../domain/ids.ts'
import { isId } from '../domain/ids.ts'

/** What may be there, with its content type. */
export const artefactTypes = {
  'serial.log': 'text/plain; charset=utf-8',
  'screenshot.png': 'image/png',
  'conversion.json': 'application/json',
} as const
export type ArtefactName = keyof typeof artefactTypes

/** Whether `name` is a known artefact. */
export function isArtefactName(name: string): name is ArtefactName {
  return Object.hasOwn(artefactTypes, name)
}

/** Reads artefacts. */
export interface Artefacts {
  /** The bytes, or undefined when there are none (yet). */
  read(jobId: JobId, sourceServerId: SourceServerId, name: ArtefactName): Promise<Uint8Array | undefined>
}

/** Artefacts in `<folder>/<job>/<server>/<name>`. */
export class FileArtefacts implements Artefacts {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async read(
    jobId: JobId,
    sourceServerId: SourceServerId,
    name: ArtefactName,
  ): Promise<Uint8Array | undefined> {
    if (!isId('job', jobId) || !isId('sourceServer', sourceServerId)) return undefined
    try {
      return await readFile(join(this.#folder, jobId, sourceServerId, name))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    }
  }
}
