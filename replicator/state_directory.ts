/**
 * The state directory: what a replicator must remember, beside its identity. Volumes' data are elsewhere.
 *
 * ```
 * identity.json                 key and certificate
 * servers/SERVER.json           generation and held point
 * volumes/VOLUME/checkpoint.json, hashes
 * ```
 * @module
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AssignedVolume } from './assignment.ts'
import { JsonFile, serverCheckpointSchema, volumeCheckpointSchema } from './checkpoint.ts'
import type { DocumentStore, ServerCheckpoint } from './checkpoint.ts'
import { openDataDisk, openStateFile } from './file_disk.ts'
import type { VolumeParts } from './volume_parts.ts'

const safeName = /^[0-9a-zA-Z][0-9a-zA-Z_-]*$/

/** @throws Error when `id` could leave its folder. */
function fileName(id: string): string {
  if (!safeName.test(id)) throw new Error(`Cannot use ${JSON.stringify(id)} as a name in the state directory`)
  return id
}

/** Paths and documents below one folder. */
export class StateDirectory {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  get identityPath(): string {
    return join(this.#path, 'identity.json')
  }

  /** Makes the folders, readable by their owner alone. */
  async prepare(): Promise<void> {
    for (const name of ['servers', 'volumes'])
      await mkdir(join(this.#path, name), { recursive: true, mode: 0o700 })
  }

  serverCheckpoint(sourceServerId: string): DocumentStore<ServerCheckpoint> {
    return new JsonFile(
      join(this.#path, 'servers', `${fileName(sourceServerId)}.json`),
      serverCheckpointSchema,
    )
  }

  /** Opens the data at the volume's path and finds its state. @throws Error of the file system. */
  async openParts(volume: AssignedVolume): Promise<VolumeParts> {
    const folder = join(this.#path, 'volumes', fileName(volume.volumeId))
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const { disk, isZero } = await openDataDisk(volume.devicePath)
    return {
      data: disk,
      isDataZero: isZero,
      openIndex: (sizeBytes, isFresh) => openStateFile(join(folder, 'hashes'), sizeBytes, isFresh),
      checkpoint: new JsonFile(join(folder, 'checkpoint.json'), volumeCheckpointSchema),
    }
  }

  /** Removes what is remembered of a volume that is closed. */
  async forgetVolume(volumeId: string): Promise<void> {
    await rm(join(this.#path, 'volumes', fileName(volumeId)), { force: true, recursive: true })
  }

  /** Removes the state of every server and volume that is not named: left by a run that could not do it. */
  async forgetOthers(sourceServerIds: readonly string[], volumeIds: readonly string[]): Promise<void> {
    const servers = new Set(sourceServerIds.map((id) => `${id}.json`))
    for (const name of await readdir(join(this.#path, 'servers'))) {
      if (!servers.has(name)) await rm(join(this.#path, 'servers', name), { force: true })
    }
    const volumes = new Set(volumeIds)
    for (const name of await readdir(join(this.#path, 'volumes'))) {
      if (!volumes.has(name)) await rm(join(this.#path, 'volumes', name), { force: true, recursive: true })
    }
  }
}
