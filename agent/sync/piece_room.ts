/**
 * How many blocks may be known in pieces, of all disks together: each takes some memory, and a disk that is written everywhere has millions.
 * @module
 */

/** Blocks known in pieces at most; what comes beyond is copied whole. Takes a few MiB. */
export const maxPiecedBlocks = 65_536

/** Places, taken and given back. */
export class PieceRoom {
  #free: number

  /** @param places default: {@link maxPiecedBlocks}. */
  constructor(places = maxPiecedBlocks) {
    this.#free = places
  }

  /** Takes a place; false when there is none. */
  take(): boolean {
    if (this.#free === 0) return false
    this.#free -= 1
    return true
  }

  /** Gives places back. */
  give(places: number): void {
    this.#free += places
  }
}
