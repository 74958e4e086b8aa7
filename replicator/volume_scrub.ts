/**
 * Reading a server's volumes again: what is found damaged is told to the operator, and asked for at the agent.
 * @module
 */
import type { Logger } from 'pino'
import type { Extent } from '../domain/units.ts'
import { blockCountOf, extentBytes } from '../domain/units.ts'
import { asWireError } from '../wire/wire_error.ts'
import type { ServerNotes } from './server_notes.ts'
import type { VolumeSet } from './volume_set.ts'

/** The volumes of one server, to be read again. */
export class VolumeScrub {
  readonly #volumes: VolumeSet
  readonly #notes: ServerNotes
  readonly #log: Logger

  constructor(volumes: VolumeSet, notes: ServerNotes, log: Logger) {
    this.#volumes = volumes
    this.#notes = notes
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
    let found: Extent[]
    try {
      found = await volume.hashes.scrub(first, count)
    } catch (error) {
      // It was closed, or has broken, which was told.
      this.#log.info({ volumeId }, `Reading a volume again was given up: ${asWireError(error).message}`)
      return undefined
    }
    for (const extent of found) {
      const { offsetBytes, lengthBytes } = extentBytes(extent, volume.sizeBytes)
      const message =
        `The copy of disk ${volume.diskIndex} (volume ${volumeId}) is damaged on the staging disk at byte ${offsetBytes} ` +
        `(${lengthBytes} bytes): it cannot be read, or is not what was written there. The agent sends it again; check the staging disk`
      this.#notes.add('ERROR', message)
      this.#log.error({ volumeId, offsetBytes, lengthBytes }, message)
    }
    return found
  }
}
