/**
 * The kernel's own ring buffers, into which it has traced all completed requests of all disks since it was started, because its command line says
 * so. They belong to nobody: what is not as the command line made it is not believed.
 *
 * There is a second witness: the kernel counts the sectors of each disk's completed writes and discards. A request is counted after it is traced, so
 * the events must hold at least as many. Whatever was not traced, or was taken away, shows.
 * @module
 */
import { existsSync, mkdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DeviceNumber, TracedDevice } from '../tracking/trace.ts'
import type { TraceHandler } from '../tracking/trace_parser.ts'
import { errorMessage } from '../../domain/errors.ts'
import { tracingFolder } from '../tracking/instance_names.ts'
import { runFolder } from '../tracking/run_folder.ts'
import { keyOf } from '../tracking/subscriptions.ts'
import { eventFolders, readTraceLayout } from '../tracking/trace_layout.ts'
import { TraceRings } from '../tracking/trace_rings.ts'

const eventFolder = eventFolders.completed
/** KiB of each ring where nobody has said anything else: the memory is given back. */
const usualRingKb = '1408'

/** Sectors that a disk has written and discarded since it is there, out of its `stat` in /sys. */
export function changedSectors(stat: string): number {
  const numbers = stat.trim().split(/\s+/).map(Number)
  // Kernels before 4.18 have no discards.
  return (numbers[6] ?? Number.NaN) + (numbers[13] ?? 0)
}

/** See the module. */
export class BootBuffer {
  readonly #root: string
  readonly #devices: string
  readonly #endedNote: string

  /**
   * @param devices folder with an entry for each block device by its number.
   * @param endedNote file, in memory, that says that this boot's trace was ended. Whatever is traced there later is somebody else's. An uninstall
   * leaves it: an agent that is installed in the same boot needs it.
   */
  constructor(
    root = tracingFolder,
    devices = '/sys/dev/block',
    endedNote = join(runFolder, 'boot-trace.ended'),
  ) {
    this.#root = root
    this.#devices = devices
    this.#endedNote = endedNote
  }

  /** See `BootTracking`. */
  async read(devices: readonly TracedDevice[], handler: TraceHandler): Promise<string | undefined> {
    if (existsSync(this.#endedNote)) return "the kernel's trace since its start was ended before"
    try {
      return await this.#read(devices, handler)
    } catch (error) {
      return `what the kernel traced since its start cannot be read: ${errorMessage(error)}`
    } finally {
      await this.release()
    }
  }

  /**
   * Ends the trace and gives its memory back, once in a boot. To be called only where the kernel was told to trace. Never throws: there may be no such
   * trace.
   */
  async release(): Promise<void> {
    try {
      if (existsSync(this.#endedNote)) return
      if ((await this.#text(`${eventFolder}/enable`)).startsWith('1')) {
        await writeFile(join(this.#root, `${eventFolder}/enable`), '0')
        await writeFile(join(this.#root, 'buffer_size_kb'), usualRingKb)
      }
      mkdirSync(dirname(this.#endedNote), { recursive: true, mode: 0o700 })
      await writeFile(this.#endedNote, '')
    } catch {
      // A kernel without tracing has none to end.
    }
  }

  async #read(devices: readonly TracedDevice[], handler: TraceHandler): Promise<string | undefined> {
    const layout = await readTraceLayout(this.#root)
    const rings = TraceRings.open(this.#root, layout, false)
    try {
      const fault = (await this.#fault()) ?? faultOf(rings, 0)
      if (fault !== undefined) return fault
      const counted = new Map<number, number>()
      for (const device of devices) counted.set(keyOf(device), await this.#counted(device))
      await writeFile(join(this.#root, `${eventFolder}/enable`), '0')
      const merging = new Set(devices.filter(({ mergesDiscards }) => mergesDiscards === true).map(keyOf))
      const traced = new Map<number, number>()
      const writtenTo = new Map<number, string>()
      let lost: string | undefined
      await rings.pump(
        {
          changed: (major, minor, firstSector, sectorCount) => {
            const key = keyOf({ major, minor })
            const before = traced.get(key)
            if (before === undefined) writtenTo.set(key, `${major}:${minor}`)
            traced.set(key, (before ?? 0) + sectorCount)
            handler.changed(major, minor, firstSector, sectorCount)
          },
          discardEnded: (major, minor) => {
            if (merging.has(keyOf({ major, minor })))
              lost ??=
                'ranges were discarded before the agent was started, and the kernel does not tell all of them'
          },
          lost: (reason) => {
            lost ??= reason
          },
        },
        () => undefined,
      )
      for (const [key, sectors] of counted)
        if (!((traced.get(key) ?? 0) >= sectors))
          lost ??= `the kernel traced ${traced.get(key) ?? 0} of ${sectors} sectors that were changed since its start`
      // It may be a disk that is there again by another number, under which it was counted anew.
      for (const number of writtenTo.values())
        if (!existsSync(join(this.#devices, number)))
          lost ??= `device ${number} was written to after the kernel's start and is gone`
      return lost ?? faultOf(rings, rings.records)
    } finally {
      rings.close()
      await writeFile(join(this.#root, 'buffer_size_kb'), usualRingKb)
    }
  }

  async #fault(): Promise<string | undefined> {
    for (const [name, expected] of [
      ['tracing_on', '1'],
      [`${eventFolder}/enable`, '1'],
      [`${eventFolder}/filter`, 'none'],
    ] as const) {
      const value = await this.#text(name)
      if (value !== expected)
        return `the kernel's trace since its start is not as it was begun (${name} is ${value})`
    }
    return undefined
  }

  async #counted({ major, minor }: DeviceNumber): Promise<number> {
    const folder = join(this.#devices, `${major}:${minor}`)
    const isCounting = (await readFile(join(folder, 'queue/iostats'), 'utf8')).trim()
    if (isCounting !== '1') throw new Error(`the kernel does not count requests of device ${major}:${minor}`)
    return changedSectors(await readFile(join(folder, 'stat'), 'utf8'))
  }

  async #text(name: string): Promise<string> {
    return (await readFile(join(this.#root, name), 'utf8')).trim()
  }
}

function faultOf(rings: TraceRings, read: number): string | undefined {
  const counts = rings.counts()
  if (counts.lost > 0)
    return `more happened since the kernel's start than it can remember (${counts.lost} events)`
  if (counts.read !== read) return `somebody else took events out of the kernel's trace since its start`
  return undefined
}
