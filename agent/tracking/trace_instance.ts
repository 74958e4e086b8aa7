/**
 * A private instance of the kernel's tracing: every completed write of the disks asked for, and whether any event was lost. No kernel module, and
 * nobody else's tracing is touched.
 * @module
 */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeviceNumber, InstanceState, Trace, TraceInstanceOptions } from './trace.ts'
import type { RingCounts } from './trace_rings.ts'
import type { TraceHandler } from './trace_parser.ts'
import { errorMessage } from '../../domain/errors.ts'
import { TurnQueue } from '../../domain/turn_queue.ts'
import { privateName, removeInstance, tracingFolder } from './instance_names.ts'
import { defaultRingKb } from './ring_size.ts'
import { traceFilter } from './trace.ts'
import { readTraceLayout } from './trace_layout.ts'
import { TraceRings } from './trace_rings.ts'

const eventFolder = 'events/block/block_rq_complete'

/** One tracing instance. Its events must be read often: {@link TraceInstance.pump}. */
export class TraceInstance implements Trace {
  readonly folder: string
  readonly #withReads: boolean
  readonly #handler: TraceHandler
  #rings: TraceRings | undefined
  #devices: DeviceNumber[] = []
  #filter = ''
  #folderId = ''
  #lostEvents = 0
  /** Looks at the instance's own files and changes of them: a look beside a change would find neither the old nor the new. */
  readonly #turns = new TurnQueue()

  private constructor(folder: string, handler: TraceHandler, withReads: boolean) {
    this.folder = folder
    this.#handler = handler
    this.#withReads = withReads
  }

  /**
   * Makes an instance that traces `devices` from now on. What is found goes to `handler`, during calls of {@link pump}.
   * @throws Error with the cause when the kernel refuses: no tracing, lockdown, not root.
   */
  static async open(
    devices: readonly DeviceNumber[],
    handler: TraceHandler,
    options: TraceInstanceOptions = {},
  ): Promise<TraceInstance> {
    const { root = tracingFolder, withReads = false } = options
    const folder = join(root, 'instances', options.name ?? (await privateName()))
    const layout = await readTraceLayout(root, eventFolder)
    await mkdir(folder)
    const instance = new TraceInstance(folder, handler, withReads)
    try {
      await instance.#set('buffer_size_kb', String(options.bufferKb ?? (await defaultRingKb())))
      await instance.setDevices(devices)
      instance.#rings = TraceRings.open(folder, layout, withReads)
      await instance.#set(`${eventFolder}/enable`, '1')
      await instance.#set('tracing_on', '1')
      instance.#folderId = await folderIdOf(folder)
    } catch (error) {
      await instance.close()
      throw error
    }
    return instance
  }

  /**
   * Goes on with the instance of `options.name` that an earlier process left: its rings hold what happened since.
   * @throws Error with the reason when it is not as that process left it: then something may be missing.
   */
  static async adopt(
    devices: readonly DeviceNumber[],
    handler: TraceHandler,
    options: TraceInstanceOptions & { name: string },
    left: InstanceState,
  ): Promise<TraceInstance> {
    const { root = tracingFolder } = options
    const folder = join(root, 'instances', options.name)
    const layout = await readTraceLayout(root, eventFolder)
    const instance = new TraceInstance(folder, handler, false)
    instance.#folderId = await folderIdOf(folder)
    if (instance.#folderId !== left.folderId) throw new Error('the trace of the kernel is another one')
    instance.#devices = [...devices]
    instance.#filter = left.filter
    instance.#lostEvents = left.lost
    const rings = TraceRings.open(folder, layout, false)
    try {
      rings.takeOver()
      const fault =
        (await instance.#switchedOff()) ??
        faultOf(rings.counts(), left, 'the run before was killed while it read, or somebody else')
      if (fault !== undefined) throw new Error(fault)
    } catch (error) {
      rings.close()
      throw error
    }
    instance.#rings = rings
    return instance
  }

  /** Removes the instance that an earlier process left; false when somebody looks into it, so that the name stays taken. */
  static remove(name: string, root = tracingFolder): Promise<boolean> {
    return removeInstance(join(root, 'instances', name))
  }

  /** Traces exactly `devices` from now on; those traced before and after lose nothing. */
  setDevices(devices: readonly DeviceNumber[]): Promise<void> {
    return this.#turns.run(() => this.#setDevicesNow(devices))
  }

  async #setDevicesNow(devices: readonly DeviceNumber[]): Promise<void> {
    this.#filter = traceFilter(devices, this.#withReads)
    try {
      await this.#set(`${eventFolder}/filter`, this.#filter)
    } catch {
      // Older kernels know no negation: reads then come through and are left out by the parser.
      this.#filter = traceFilter(devices, true)
      await this.#set(`${eventFolder}/filter`, this.#filter)
    }
    this.#devices = [...devices]
  }

  /** The devices traced. */
  get devices(): readonly DeviceNumber[] {
    return this.#devices
  }

  /** What a later process must find. */
  get state(): InstanceState {
    return {
      folderId: this.#folderId,
      filter: this.#filter,
      lost: this.#lostEvents,
      records: this.#rings?.records ?? 0,
    }
  }

  /** Reads every event that is there. Never waits for one. `onTurn` is called in the same breath as each turn of reading. */
  async pump(onTurn: () => void = () => undefined): Promise<void> {
    let told: string | undefined
    const turn = (): void => {
      if (told !== undefined && !this.#checkCounts()) this.#handler.lost(told)
      told = undefined
    }
    const handler: TraceHandler = {
      changed: (...change) => this.#handler.changed(...change),
      // The counters say how many, and would tell the same loss once more at the next look.
      lost: (description) => {
        told ??= description
      },
    }
    await this.#rings?.pump(handler, () => {
      turn()
      onTurn()
    })
    turn()
  }

  /** Whether the kernel's counters show that something is missing, which is told. */
  #checkCounts(): boolean {
    const rings = this.#rings
    if (rings === undefined) return false
    try {
      const counts = rings.counts()
      const fault = faultOf(counts, { lost: this.#lostEvents, records: rings.records })
      if (fault === undefined) return false
      this.#lostEvents = counts.lost
      rings.takeOver()
      this.#handler.lost(fault)
    } catch (error) {
      this.#handler.lost(`the kernel's counters cannot be read: ${errorMessage(error)}`)
    }
    return true
  }

  /**
   * Looks at the kernel's own counters: any event lost since the last look, events that somebody else took, or tracing switched off, is told to
   * the handler.
   */
  check(): Promise<void> {
    return this.#turns.run(() => this.#checkNow())
  }

  async #checkNow(): Promise<void> {
    if (this.#rings === undefined) return
    this.#checkCounts()
    try {
      const off = await this.#switchedOff()
      if (off === undefined) return
      this.#handler.lost(off)
      await this.#set(`${eventFolder}/filter`, this.#filter)
      await this.#set(`${eventFolder}/enable`, '1')
      await this.#set('tracing_on', '1')
    } catch (error) {
      this.#handler.lost(`what the kernel traces cannot be read: ${errorMessage(error)}`)
    }
  }

  /** Why events may not have been traced; undefined while they are. */
  async #switchedOff(): Promise<string | undefined> {
    for (const name of ['tracing_on', `${eventFolder}/enable`]) {
      const value = (await readFile(join(this.folder, name), 'utf8')).trim()
      if (!value.startsWith('1')) return `tracing was switched off by someone (${name} is ${value})`
    }
    const filter = (await readFile(join(this.folder, eventFolder, 'filter'), 'utf8')).trim()
    if (filter !== this.#filter) return `the filter of the trace was changed by someone (${filter})`
    return undefined
  }

  /** Stops reading; tracing goes on for a later process. */
  async leave(): Promise<void> {
    this.#rings?.close()
    this.#rings = undefined
    // The kernel removes no instance of which a file is open.
    await this.#turns.run(() => Promise.resolve())
  }

  /** Gives the kernel's memory back. Somebody may have removed the instance already, or be reading in it: the next start removes what is left. */
  async close(): Promise<void> {
    await this.leave()
    await removeInstance(this.folder)
  }

  #set(name: string, value: string): Promise<void> {
    return writeFile(join(this.folder, name), value)
  }
}

/** What is missing by the kernel's count, against what was counted before; undefined when nothing is. `taker` is who may have taken events out. */
function faultOf(
  now: RingCounts,
  before: { lost: number; records: number },
  taker = 'somebody else',
): string | undefined {
  if (now.lost > before.lost) return `the kernel dropped ${now.lost - before.lost} events`
  if (now.lost < before.lost || now.read < before.records)
    return 'the trace of the kernel was emptied by someone'
  if (now.read > before.records) return `${taker} took ${now.read - before.records} events out of the trace`
  return undefined
}

async function folderIdOf(folder: string): Promise<string> {
  return String((await stat(folder)).ino)
}
