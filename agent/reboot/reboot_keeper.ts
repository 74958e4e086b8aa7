/**
 * Carries tracking through a clean reboot. At the first start of an agent in a boot it decides whether what the boot before has sealed still says
 * how the disks' copies stand, and makes ready for the next shutdown.
 *
 * Four things must be proven: nothing wrote to the disks after the shutdown had sealed (it makes sure itself, see `sealer.ts`); this kernel is the
 * first one since (the boot loader's token); the kernel has seen every write since it started (`boot_buffer.ts`); and nobody else has written to
 * the copy (the gateway numbers the runs, and the copy has a name). What the boot loader and firmware write without a kernel is marked.
 * @module
 */
import type { Extent } from '../../domain/units.ts'
import type { BootTracking, ClaimedDisk } from '../tracking/boot_tracking.ts'
import type { TracedDevice } from '../tracking/trace.ts'
import type { TraceHandler } from '../tracking/trace_parser.ts'
import type { BootFacts } from './boot_loader.ts'
import type { PresentDisk, SectorRange } from './present_disks.ts'
import type { SealPlaces } from './seal_file.ts'
import type { SealPlan } from './seal_plan.ts'
import type { SealedRecord } from './sealed_record.ts'
import { blockSizeBytes, sectorSizeBytes } from '../../domain/units.ts'
import { errorMessage } from '../../domain/errors.ts'
import { isTracedFromBoot, refusalOfBoot } from './boot_loader.ts'
import { extentsOf } from './sealed_record.ts'

const sectorsPerBlock = blockSizeBytes / sectorSizeBytes

/** What it works with. */
export interface RebootParts {
  bootId: string
  /** Of this run, as the gateway gave it. */
  generation: number
  /** The record's file. See `SealFile`. */
  seal: { read(): Promise<SealedRecord | undefined>; prepare(): Promise<SealPlaces> }
  /** See `BootLoader`. */
  loader: {
    facts(): Promise<BootFacts>
    arm(token: string): Promise<void>
  }
  /** See `BootBuffer`. */
  buffer: {
    read(devices: readonly TracedDevice[], handler: TraceHandler): Promise<string | undefined>
    release(): Promise<void>
  }
  disks(): Promise<PresentDisk[]>
  newToken(): string
  /** Notes for the shutdown of this boot how to seal. */
  plan(plan: SealPlan): void
  /** Told when a reboot will need a comparison. */
  warn(message: string): void
}

/** See the module. */
export class RebootKeeper implements BootTracking {
  readonly #parts: RebootParts
  #claimed: readonly ClaimedDisk[] | string = 'no agent was started'
  #begun: Promise<void> | undefined
  /** The kernel was told to trace from its start on: that trace is ours to end. */
  #isTraced = false

  constructor(parts: RebootParts) {
    this.#parts = parts
  }

  /**
   * To be called before anything is replicated: what was sealed is read and used up, and the next shutdown made ready. Never throws; what cannot be
   * done costs a comparison. Done once, by the first claim at the latest: a run that goes on from one of this boot reads its rings before it.
   */
  begin(): Promise<void> {
    this.#begun ??= this.#begin()
    return this.#begun
  }

  async #begin(): Promise<void> {
    const { seal, warn } = this.#parts
    try {
      let record: SealedRecord | string
      try {
        record =
          (await seal.read()) ??
          'the machine was not shut down cleanly, nothing could be sealed then, or it was used up'
      } catch (error) {
        record = `what was sealed at the last shutdown cannot be read: ${errorMessage(error)}`
      }
      const facts = await this.#parts.loader.facts()
      this.#isTraced = isTracedFromBoot(facts.commandLine)
      // Before the boot loader is told anything new.
      this.#claimed = typeof record === 'string' ? record : await this.#judge(record, facts)
      // From here on it is used up; on this disk, not only in memory.
      const places = await seal.prepare()
      await this.#makeReady(places)
    } catch (error) {
      this.#claimed = `what was sealed at the last shutdown cannot be used up: ${errorMessage(error)}`
      warn(`The disks are compared after a reboot, because ${errorMessage(error)}`)
    }
  }

  async #makeReady(places: SealPlaces): Promise<void> {
    const { bootId, loader, newToken, plan, warn } = this.#parts
    try {
      const token = newToken()
      await loader.arm(token)
      plan({ bootId, token, places })
    } catch (error) {
      warn(`The disks are compared after a reboot, because ${errorMessage(error)}`)
    }
  }

  async #judge(record: SealedRecord, facts: BootFacts): Promise<ClaimedDisk[] | string> {
    const { bootId, generation } = this.#parts
    if (record.refusal !== undefined) return record.refusal
    if (record.bootId === bootId) return 'the machine was to be shut down and was not'
    if (record.generation !== generation - 1)
      return `the run before (${generation - 1}) was not the one that was shut down with the machine (${record.generation})`
    if (!isTracedFromBoot(facts.commandLine)) return 'its kernel was not told to trace from its start on'
    const refusal = refusalOfBoot(facts, record.token)
    if (refusal !== undefined) return refusal
    const disks = await this.#parts.disks()
    const { loaderFile } = record
    const claimed: ClaimedDisk[] = []
    for (const sealed of record.disks) {
      const disk = disks.find(({ lastingId }) => lastingId === sealed.lastingId)
      // It is compared as one that nobody knows: it may be gone, or another one.
      if (disk?.diskId === undefined || disk.firmwareParts === undefined) continue
      if (disk.sizeBytes !== sealed.diskBytes) continue
      const ranges = [
        ...disk.firmwareParts,
        ...(loaderFile.lastingId === sealed.lastingId ? [loaderFile] : []),
      ]
      claimed.push({
        device: disk.device,
        disk: { diskId: disk.diskId, volumeId: sealed.volumeId, sizeBytes: sealed.sizeBytes },
        state: sealed.state,
        marks: [...extentsOf(sealed.runs), ...ranges.map(blocksOf)],
      })
    }
    return claimed.length === 0 ? 'none of its disks is known again' : claimed
  }

  async claim(): Promise<readonly ClaimedDisk[] | string> {
    await this.begin()
    const claimed = this.#claimed
    this.#claimed = 'what was sealed at the last shutdown was used already'
    return claimed
  }

  read(devices: readonly TracedDevice[], handler: TraceHandler): Promise<string | undefined> {
    return this.#parts.buffer.read(devices, handler)
  }

  /** The kernel's trace since its start is not needed any more. One that it was not told to make is somebody else's. */
  async release(): Promise<void> {
    if (this.#isTraced) await this.#parts.buffer.release()
  }
}

/** The blocks that sectors lie in. */
function blocksOf({ firstSector, sectorCount }: SectorRange): Extent {
  const firstBlock = Math.floor(firstSector / sectorsPerBlock)
  return { firstBlock, blockCount: Math.ceil((firstSector + sectorCount) / sectorsPerBlock) - firstBlock }
}
