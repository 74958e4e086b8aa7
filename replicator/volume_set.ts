/**
 * The open volumes of one source server.
 * @module
 */
import type { Logger } from 'pino'
import type { Extent } from '../domain/units.ts'
import { blockSizeBytes } from '../domain/units.ts'
import { readingMs } from '../domain/unread_blocks.ts'
import type { UnreadBlocks } from '../domain/unread_blocks.ts'
import type { BarrierReached } from '../wire/message.ts'
import { asWireError, WireError } from '../wire/wire_error.ts'
import type { AssignedVolume } from './assignment.ts'
import type { DamagedVolume } from './damage_notes.ts'
import { codeOf, diskError } from './disk.ts'
import { TurnQueue } from '../domain/turn_queue.ts'
import { openVolume } from './volume.ts'
import type { Volume } from './volume.ts'
import type { VolumeParts } from './volume_parts.ts'

/** More active segments than this are cleaned up at once: each may have to be read again after an unclean end. */
const maxActiveSegments = 64

/** Blocks written in pieces that are read in a second, while others write: 64 MiB. */
const quietBlocksPerTick = 1024

/** Why reading ended early: the volume was closed, or is broken, which was told. */
function notAllKnown(error: unknown): string {
  return `Not all hashes are known: ${asWireError(error).message}`
}

/** What the set works with. */
export interface VolumeSetOptions {
  /** Opens the data and state of a volume. */
  openParts: (volume: AssignedVolume) => Promise<VolumeParts>
  onBroken: (error: WireError) => void
  /** Blocks of a volume were found damaged: their data cannot be read, or are not what was written there. */
  onDamaged: (volume: DamagedVolume, found: readonly Extent[]) => void
  log: Logger
  /** For tests. */
  segmentBlocks?: number
}

/** How a volume is wanted. */
export interface WantedVolume {
  assigned: AssignedVolume
  /** Size of the source disk. */
  sizeBytes: number
  /** See `VolumeOptions`. */
  isSameRun: boolean
  /** Connections write to it, so it can't be opened anew. */
  isInUse: boolean
}

/** Whether both are the same place for the same disk. */
export function isSameVolume(left: AssignedVolume, right: AssignedVolume): boolean {
  return (
    left.diskIndex === right.diskIndex &&
    left.volumeId === right.volumeId &&
    left.devicePath === right.devicePath
  )
}

/** The volume of a disk. @throws WireError UNKNOWN_VOLUME when HELLO did not name it. */
export function volumeOf(volumes: ReadonlyMap<number, Volume>, diskIndex: number): Volume {
  const volume = volumes.get(diskIndex)
  if (volume !== undefined) return volume
  throw new WireError('UNKNOWN_VOLUME', `Cannot serve disk ${diskIndex}: HELLO did not name it`, {
    expected: [...volumes.keys()].join(', '),
    actual: diskIndex,
    diskIndex,
  })
}

/** What is still to be read of `volumes` before they have roots. */
export function unreadOf(volumes: readonly Volume[]): UnreadBlocks {
  const each = volumes.map((volume) => volume.hashes.unread)
  const unknownBytes = each.reduce((sum, { unknownBytes: own }) => sum + own, 0)
  if (unknownBytes === 0) return { unknownBytes, bytesPerSecond: each[0]?.bytesPerSecond ?? 1 }
  // One after the other.
  const ms = each.reduce((sum, unread) => sum + readingMs(unread), 0)
  return { unknownBytes, bytesPerSecond: Math.max(1, (unknownBytes * 1000) / ms) }
}

/** Volumes at a barrier. */
export type Settled = Pick<BarrierReached, 'roots' | 'unread'>

/**
 * Makes everything in `volumes` durable and answers their roots. Nobody writes to them meanwhile, so blocks whose hashes are not known are read
 * for `mostReadMs` at most, and not at all where that would not be enough; a volume of which some stay unknown has no root.
 * @throws WireError of a volume, also when blocks of it are damaged; the reason of `signal` soon after it aborts.
 */
export async function settledRoots(
  volumes: ReadonlyMap<number, Volume>,
  signal: AbortSignal,
  mostReadMs: number,
): Promise<Settled> {
  const all = [...volumes.values()]
  if (readingMs(unreadOf(all)) <= mostReadMs) {
    const ended = AbortSignal.any([signal, AbortSignal.timeout(mostReadMs)])
    for (const volume of all) await volume.hashes.learnFast(ended)
    signal.throwIfAborted()
  }
  for (const volume of all) await volume.settle()
  const roots: BarrierReached['roots'] = []
  for (const [diskIndex, volume] of volumes) {
    const root = await volume.hashes.root(signal)
    if (root !== undefined) roots.push({ diskIndex, root })
    volume.requireUndamaged()
  }
  return roots.length === volumes.size ? { roots } : { roots, unread: unreadOf(all) }
}

/** One volume per disk. Its methods must not overlap, but for {@link VolumeSet.tidy}. */
export class VolumeSet {
  readonly #options: VolumeSetOptions
  readonly #open = new Map<number, { assigned: AssignedVolume; volume: Volume }>()
  /** Volumes whose flush has failed, as long as they have not been opened well again. */
  readonly #suspects = new Set<string>()
  /** Volumes learn one after the other, so that they leave the disk below them to those who write. */
  readonly #learning = new TurnQueue()

  constructor(options: VolumeSetOptions) {
    this.#options = options
  }

  /** All that are open, broken ones too. */
  get all(): Volume[] {
    return [...this.#open.values()].map(({ volume }) => volume)
  }

  /** The volume as it is wanted, opened anew where it must be. @throws WireError with the reason why it can't be used. */
  async obtain({ assigned, sizeBytes, isSameRun, isInUse }: WantedVolume): Promise<Volume> {
    const { diskIndex } = assigned
    const known = this.#open.get(diskIndex)
    if (known !== undefined) {
      const { volume } = known
      const isRightOne = isSameVolume(known.assigned, assigned) && volume.failure === undefined
      if (isRightOne && volume.sizeBytes === sizeBytes) return volume
      if (isRightOne && isInUse) {
        throw new WireError('OUT_OF_RANGE', `Cannot change the size of disk ${diskIndex} within a run`, {
          expected: volume.sizeBytes,
          actual: sizeBytes,
          diskIndex,
        })
      }
      await this.close([known.assigned])
    }
    const volume = await this.#openOne(assigned, sizeBytes, isSameRun)
    this.#open.set(diskIndex, { assigned, volume })
    void this.#learn(volume)
    return volume
  }

  /**
   * Closes volumes once nothing is written to them any more. Trouble goes to the log: nothing that was acknowledged depends on it.
   * @param isForgotten their state is going to be dropped, so nothing need be settled.
   */
  async close(volumes: readonly AssignedVolume[], isForgotten = false): Promise<void> {
    for (const assigned of volumes) {
      const known = this.#open.get(assigned.diskIndex)
      // Another one may have taken its place already.
      if (known === undefined || !isSameVolume(known.assigned, assigned)) continue
      const { volume } = known
      this.#open.delete(assigned.diskIndex)
      try {
        await (isForgotten ? volume.abandon() : volume.close())
      } catch (error) {
        this.#options.log.error({ err: error, volumeId: volume.volumeId }, asWireError(error).message)
      }
    }
  }

  /** Closes all of them, as {@link close}. */
  async closeAll(isForgotten: boolean): Promise<void> {
    const all = [...this.#open.values()].map(({ assigned }) => assigned)
    await this.close(all, isForgotten)
  }

  /** Clears activity logs: those that have grown long, and with `isThorough` every one. Trouble breaks the volume, which is told. */
  async tidy(isThorough: boolean): Promise<void> {
    for (const volume of this.all) {
      const isDue = volume.activeSegmentCount > (isThorough ? 0 : maxActiveSegments)
      if (!isDue || volume.failure !== undefined) continue
      try {
        await volume.settle()
      } catch (error) {
        this.#options.log.error({ err: error, volumeId: volume.volumeId }, asWireError(error).message)
      }
    }
  }

  /** Reads some of what was written in pieces and is quiet now; call it about once a second. Never rejects. */
  async learnQuiet(): Promise<void> {
    await this.#forUnknown((volume) => volume.hashes.learnQuiet(quietBlocksPerTick))
  }

  /** Reads all whose hashes are not known: a consistency point is near. Answers how many blocks were read. Never rejects. */
  async learnFast(): Promise<number> {
    let read = 0
    await this.#forUnknown(async (volume) => {
      read += await volume.hashes.learnFast()
    })
    return read
  }

  async #forUnknown(learn: (volume: Volume) => Promise<void>): Promise<void> {
    for (const volume of this.all) {
      if (volume.failure !== undefined || !volume.hashes.hasDoubts) continue
      await learn(volume).catch((error: unknown) =>
        this.#options.log.info({ volumeId: volume.volumeId }, notAllKnown(error)),
      )
    }
  }

  /** Makes the hashes of a volume known in the background. Never rejects. */
  async #learn(volume: Volume): Promise<void> {
    const { log } = this.#options
    const { volumeId } = volume
    try {
      const blocks = await volume.hashes.findUnknown()
      if (blocks === 0) return
      const bytes = blocks * blockSizeBytes
      log.info(
        { volumeId, bytes },
        'Reading blocks whose hashes are not known; a consistency point may be late meanwhile',
      )
      await this.#learning.run(() => volume.hashes.learn())
      log.info({ volumeId, bytes }, 'The hashes of all blocks are known')
    } catch (error) {
      log.info({ volumeId }, notAllKnown(error))
    }
  }

  async #openOne(assigned: AssignedVolume, sizeBytes: number, isSameRun: boolean): Promise<Volume> {
    const { volumeId, diskIndex, devicePath } = assigned
    const { openParts, onBroken, onDamaged, segmentBlocks } = this.#options
    try {
      const volume = await openVolume({
        volumeId,
        diskIndex,
        sizeBytes,
        parts: await openParts(assigned),
        isSameRun,
        isSuspect: this.#suspects.has(volumeId),
        onBroken,
        onDamaged: (found) => onDamaged({ volumeId, diskIndex, sizeBytes }, found),
        onSuspect: () => void this.#suspects.add(volumeId),
        ...(segmentBlocks === undefined ? {} : { segmentBlocks }),
      })
      this.#suspects.delete(volumeId)
      return volume
    } catch (error) {
      if (codeOf(error) !== 'ENOENT')
        throw diskError(error, `open volume ${volumeId} at ${devicePath}`, diskIndex)
      throw new WireError(
        'VOLUME_IO_ERROR',
        `Cannot open volume ${volumeId}: nothing is at ${devicePath} (ENOENT). Put it back, or wait: another volume is made in its ` +
          'place and the disk is copied again; if that does not come within minutes, disconnect the server and add it again',
        { cause: error, diskIndex },
      )
    }
  }
}
