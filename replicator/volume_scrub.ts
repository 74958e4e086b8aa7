/**
 * Reading a server's volumes again, so that damage is found.
 * @module
 */
import type { Logger } from 'pino'
import type { Extent } from '../domain/units.ts'
import { blockCountOf } from '../domain/units.ts'
import { asWireError } from '../wire/wire_error.ts'
import type { VolumeSet } from './volume_set.ts'

/** The volumes of one server, to be read again. */
export class VolumeScrub {
  readonly #volumes: VolumeSet
  readonly #log: Logger

  constructor(volumes: VolumeSet, log: Logger) {
    this.#volumes = volumes
    this.#log = log
  }

  /** Those that can be read now: they are open, well, and hold something. */
  get volumes(): { volumeId: string; blockCount: number }[] {
    return this.#volumes.all
      .filter(({ failure, contents }) => failure === undefined && contents === 'PARTIAL')
      .map(({ volumeId, sizeBytes }) => ({ volumeId, blockCount: blockCountOf(sizeBytes) }))
  }

  /** Blocks that are known to be damaged. */
  get damagedBlocks(): number {
    return this.#volumes.all.reduce((sum, { hashes }) => sum + hashes.damage.count, 0)
  }

  /** Reads blocks again. Answers what was found damaged; undefined when the volume can't be read now. Never rejects. */
  async read(volumeId: string, first: number, count: number): Promise<Extent[] | undefined> {
    const volume = this.#volumes.all.find((candidate) => candidate.volumeId === volumeId)
    if (volume === undefined || volume.failure !== undefined || volume.hashes.damage.isFull) return undefined
    try {
      return await volume.hashes.scrub(first, count)
    } catch (error) {
      // It was closed, or has broken, which was told.
      this.#log.info({ volumeId }, `Reading a volume again was given up: ${asWireError(error).message}`)
      return undefined
    }
  }
}
