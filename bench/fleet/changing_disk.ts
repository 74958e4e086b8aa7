/**
 * A disk that is only played: it is zero but for its beginning, and that changes again and again, as its tracker says.
 * @module
 */
import type { BlockSource } from '../../agent/disk/block_source.ts'
import type { Drained, Tracker } from '../../agent/tracking/tracker.ts'
import { blockSizeBytes } from '../../domain/units.ts'

/** Blocks that are not zero and change. */
const changingBlocks = 64

/** So many blocks change every so often: a hundred agents of five such disks have 130 MB/s to send, and as much as fits while nothing is taken. */
const changesAtOnce = 16
const changeEveryMs = 4000

/** Reads of a changing block are cut from this at random: bytes that no compression makes smaller. */
const noise = new Uint8Array(2 * 2 ** 20)
for (let offset = 0; offset < noise.length; offset += 65_536)
  crypto.getRandomValues(noise.subarray(offset, offset + 65_536))

/** A disk of `sizeBytes`. */
export class ChangingDisk implements BlockSource, Tracker {
  readonly deviceName: string
  readonly identity: BlockSource['identity']
  readonly sizeBytes: number
  readonly kind = 'bench'
  readonly reason = 'It is only played'
  readonly needsPasses = false
  readonly waitingBytes = 0
  #nextChangeAtMs = 0

  constructor(deviceName: string, stableId: string, sizeBytes: number) {
    this.deviceName = deviceName
    this.identity = { stableId }
    this.sizeBytes = sizeBytes
  }

  read(offsetBytes: number, lengthBytes: number, into: Uint8Array): Promise<void> {
    const changing = Math.max(0, Math.min(lengthBytes, changingBlocks * blockSizeBytes - offsetBytes))
    const from = Math.floor(Math.random() * (noise.length - changing))
    into.set(noise.subarray(from, from + changing))
    into.fill(0, changing, lengthBytes)
    return Promise.resolve()
  }

  currentSizeBytes(): Promise<number> {
    return Promise.resolve(this.sizeBytes)
  }

  growTo(): void {
    throw new Error('A played disk does not grow')
  }

  grow(): void {
    this.growTo()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  drain(): Promise<Drained> {
    const now = performance.now()
    if (now < this.#nextChangeAtMs) return Promise.resolve({ lost: false, changed: [] })
    this.#nextChangeAtMs = now + changeEveryMs
    const firstBlock = Math.floor(Math.random() * (changingBlocks - changesAtOnce))
    return Promise.resolve({ lost: false, changed: [{ firstBlock, blockCount: changesAtOnce }] })
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}
