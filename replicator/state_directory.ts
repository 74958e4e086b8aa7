/**
 * The state directory: what a replicator must remember, beside its identity. Volumes' data are elsewhere.
 *
 * ```
 * identity.json                 key and certificate
 * servers/SERVER.json           generation and held point
 * volumes/VOLUME/checkpoint.json, hashes, scrub.json
 * ```
 * @module
 */
import { mkdir, open, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AssignedVolume } from './assignment.ts'
import { JsonFile, serverCheckpointSchema, syncFolder, volumeCheckpointSchema } from './checkpoint.ts'
import type { DocumentStore, ServerCheckpoint } from './checkpoint.ts'
import { openDataDisk, openStateFile } from './file_disk.ts'
import { errorMessage } from '../domain/errors.ts'
import type { HostLease } from '../host/lease.ts'
import type { TakeLease } from './lease.ts'
import { scrubRecordSchema } from './scrubber.ts'
import type { ScrubRecord } from './scrubber.ts'
import type { VolumeParts } from './volume_parts.ts'

/** What enrolment and the first checkpoints need at least. */
const probeBytes = 64 * 1024

const safeName = /^[0-9a-zA-Z][0-9a-zA-Z_-]*$/

/** @throws Error when `id` could leave its folder. */
function fileName(id: string): string {
  if (!safeName.test(id)) throw new Error(`Cannot use ${JSON.stringify(id)} as a name in the state directory`)
  return id
}

/** Paths and documents below one folder. */
export class StateDirectory {
  readonly #path: string
  readonly #takeLease: TakeLease
  #lease: HostLease | undefined

  constructor(path: string, takeLease: TakeLease) {
    this.#path = path
    this.#takeLease = takeLease
  }

  get identityPath(): string {
    return join(this.#path, 'identity.json')
  }

  /**
   * Makes the folders, readable by their owner alone, and has them for this process alone until {@link StateDirectory.close}.
   * @throws Error when they can't be made or written, or another process has them, with what to do.
   */
  async prepare(): Promise<void> {
    try {
      for (const name of ['servers', 'volumes'])
        await mkdir(join(this.#path, name), { recursive: true, mode: 0o700 })
      this.#lease = await this.#takeLease(`state ${await realpath(this.#path)}`)
      await this.#probe()
    } catch (cause) {
      throw new Error(
        `Cannot use ${this.#path} as the state directory: ${errorMessage(cause)}. Free space there, let this user write to it, or ` +
          'correct REHOST_REPLICATOR_STATE_DIR',
        { cause },
      )
    }
  }

  /** Others may have it. */
  async close(): Promise<void> {
    await this.#lease?.release()
  }

  serverCheckpoint(sourceServerId: string): DocumentStore<ServerCheckpoint> {
    return new JsonFile(
      join(this.#path, 'servers', `${fileName(sourceServerId)}.json`),
      serverCheckpointSchema,
      'restore it, or move it away while no snapshot is being taken: it says which run of the agent is the latest, and which ' +
        'consistency point is held',
    )
  }

  /** Opens the data at the volume's path and finds its state. @throws Error of the file system. */
  async openParts(volume: AssignedVolume): Promise<VolumeParts> {
    const folder = join(this.#path, 'volumes', fileName(volume.volumeId))
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const { disk, identity, isZero } = await openDataDisk(volume.devicePath, this.#takeLease)
    return {
      data: disk,
      identity,
      isDataZero: isZero,
      openIndex: (sizeBytes, isFresh) => openStateFile(join(folder, 'hashes'), sizeBytes, isFresh),
      checkpoint: new JsonFile(
        join(folder, 'checkpoint.json'),
        volumeCheckpointSchema,
        'move it away, and the blocks of the volume are read again to know what they hold',
      ),
    }
  }

  /** Where reading a volume again is. */
  scrubRecord(volumeId: string): DocumentStore<ScrubRecord> {
    return new JsonFile(
      join(this.#path, 'volumes', fileName(volumeId), 'scrub.json'),
      scrubRecordSchema,
      'remove it, and the volume is read again in its turn',
    )
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

  /** Finds out now what would otherwise fail after the token of enrolment is used up. */
  async #probe(): Promise<void> {
    const path = join(this.#path, 'probe')
    try {
      const handle = await open(path, 'w', 0o600)
      try {
        await handle.writeFile(Buffer.alloc(probeBytes, 1))
        await handle.sync()
      } finally {
        await handle.close()
      }
    } finally {
      await rm(path, { force: true })
    }
    await syncFolder(this.#path)
  }
}
