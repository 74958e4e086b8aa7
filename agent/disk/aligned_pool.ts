/**
 * Page-aligned memory for O_DIRECT. Buffers of the platform start anywhere and the kernel refuses them (EINVAL); WebAssembly memory starts on
 * a page.
 * @module
 */
import { blockSizeBytes, maxExtentBlocks } from '../../domain/units.ts'

const wasmPageBytes = 65_536

/** Bytes of one slot: the largest extent. */
export const slotBytes = blockSizeBytes * maxExtentBlocks

/** A piece of the pool, owned until it is released. */
export interface Slot {
  /** {@link slotBytes} of page-aligned memory. */
  readonly bytes: Uint8Array
  /** Gives it back; the bytes belong to someone else from then on. A second call does nothing. */
  release(): void
}

/** A fixed number of slots; whoever asks when none is free waits in line. This bounds the memory for reading, whatever the disks do. */
export class AlignedPool {
  readonly #free: Uint8Array[] = []
  readonly #waiting: ((slot: Slot) => void)[] = []

  /** @param slots how many; each takes 1 MiB. */
  constructor(slots: number) {
    const pages = (slots * slotBytes) / wasmPageBytes
    // One memory for all slots: each memory reserves gigabytes of address space.
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages })
    for (let index = 0; index < slots; index++) {
      this.#free.push(new Uint8Array(buffer, index * slotBytes, slotBytes))
    }
  }

  /** Slots that nobody holds. */
  get freeSlots(): number {
    return this.#free.length
  }

  /** A slot, at once or when one is given back. */
  acquire(): Promise<Slot> {
    const bytes = this.#free.pop()
    if (bytes !== undefined) return Promise.resolve(this.#slot(bytes))
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #slot(bytes: Uint8Array): Slot {
    let isHeld = true
    return {
      bytes,
      release: () => {
        if (!isHeld) return
        isHeld = false
        const next = this.#waiting.shift()
        if (next === undefined) this.#free.push(bytes)
        else next(this.#slot(bytes))
      },
    }
  }
}
