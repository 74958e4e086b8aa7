/**
 * What a launch leaves to look at: serial log, screenshot, conversion report, output of actions. Files under the data folder, one folder per job and server,
 * read by the gateway.
 * @module
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobId, SourceServerId } from '../domain/ids.ts'

/** The names the gateway shows. */
export type ArtefactName = 'serial.log' | 'screenshot.png' | 'conversion.json' | 'actions.log'

/** Keeps artefacts. Writing one again replaces it. */
export interface Artefacts {
  write(
    jobId: JobId,
    sourceServerId: SourceServerId,
    name: ArtefactName,
    content: string | Uint8Array,
  ): Promise<void>
}

/** Artefacts in `<folder>/<job>/<server>/<name>`. */
export class FileArtefacts implements Artefacts {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async write(
    jobId: JobId,
    sourceServerId: SourceServerId,
    name: ArtefactName,
    content: string | Uint8Array,
  ): Promise<void> {
    const folder = join(this.#folder, jobId, sourceServerId)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    // A reader sees the old one or the new one, never half.
    const temporary = join(folder, `.${name}.${process.pid}`)
    await writeFile(temporary, content, { mode: 0o600 })
    await rename(temporary, join(folder, name))
  }
}
