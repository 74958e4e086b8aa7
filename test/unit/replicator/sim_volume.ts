/**
 * A volume on simulated media: data, hash index and checkpoint, over many lives of the process that serves it.
 * @module
 */
import type { VolumeCheckpoint } from '../../../replicator/checkpoint.ts'
import type { VolumeParts } from '../../../replicator/volume_parts.ts'
import { SimDocument, SimMedium } from './sim_disk.ts'

/** What a simulated volume is made of. */
export interface SimVolumeOptions {
  sizeBytes: number
  /** What the medium writes as a whole or not at all. */
  sectorBytes: number
  /** Short writes to the data end at multiples of it. */
  cutBytes: number
  random: () => number
}

/** Survives every end; what was opened on it before does not. */
export class SimVolume {
  readonly data: SimMedium
  readonly index: SimMedium
  readonly checkpoint: SimDocument<VolumeCheckpoint>
  #life = 0

  constructor({ sizeBytes, sectorBytes, cutBytes, random }: SimVolumeOptions) {
    this.data = new SimMedium(sizeBytes, sectorBytes, cutBytes, random)
    this.index = new SimMedium(0, sectorBytes, 32, random)
    this.checkpoint = new SimDocument(random)
  }

  /** Which life of the process it is. */
  get life(): number {
    return this.#life
  }

  /** As the process of this life sees it. */
  parts(): VolumeParts {
    const life = this.#life
    return {
      data: this.data.open(),
      identity: 'data',
      // As a device would: only a first opening may know that it is empty.
      isDataZero: () => Promise.resolve(this.checkpoint.writes === 0),
      openIndex: (bytes, isFresh) => {
        if (life !== this.#life) return new Promise(() => {})
        const bytesBefore = this.index.sizeBytes
        if (bytesBefore !== bytes || isFresh) this.index.resize(bytes, isFresh)
        return Promise.resolve({ disk: this.index.open(), bytesBefore })
      },
      checkpoint: this.checkpoint.open(),
    }
  }

  /** The process ends: with the power of its machine, or alone, so that the operating system keeps its cache. */
  end(isPowerLost: boolean): void {
    this.#life++
    for (const medium of [this.data, this.index]) {
      // Killed between a failed flush and the checkpoint that tells of it, no program could know; power loss there is harmless.
      const isUntold = this.data.hasForgotten && this.checkpoint.current?.isSuspect !== true
      if (isPowerLost || isUntold) medium.crash()
      else medium.kill()
    }
    this.checkpoint.crash()
  }
}
