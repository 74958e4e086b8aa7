/**
 * A private instance of the kernel's tracing: every completed write of the disks asked for, and whether any event was lost. No kernel module, and
 * nobody else's tracing is touched.
 * @module
 */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { InstanceState, Trace, TracedDevice, TraceInstanceOptions } from './trace.ts'
import type { TraceLayout } from './trace_layout.ts'
import type { RingCounts } from './trace_rings.ts'
import type { TraceHandler } from './trace_parser.ts'
import { errorMessage } from '../../domain/errors.ts'
import { TurnQueue } from '../../domain/turn_queue.ts'
import { privateName, removeInstance, tracingFolder } from './instance_names.ts'
import { defaultRingKb } from './ring_size.ts'
import { discardFilter, traceFilter } from './trace.ts'
import { eventFolders, readTraceLayout } from './trace_layout.ts'
import { TraceRings } from './trace_rings.ts'

const discardFolders = [eventFolders.discardQueued, eventFolders.discardEnded]

/** One tracing instance. Its events must be read often: {@link TraceInstance.pump}. */
export class TraceInstance implements Trace {
  readonly folder: string
  readonly #withReads: boolean
  readonly #handler: TraceHandler
  #rings: TraceRings | undefined
  #devices: TracedDevice[] = []
  #filter = ''
  /** Of the events that tell of discards; empty while these are off. */
  #discardFilter = ''
  /** Whether these can be read. */
  readonly #canReadDiscards: boolean
  #folderId = ''
  #lostEvents = 0
  /** Looks at the instance's own files and changes of them: a look beside a change would find neither the old nor the new. */
  readonly #turns = new TurnQueue()

  private constructor(folder: string, layout: TraceLayout, handler: TraceHandler, withReads: boolean) {
    this.folder = folder
    this.#canReadDiscards = layout.discards !== undefined
    this.#handler = handler
    this.#withReads = withReads
  }

  /**
   * Makes an instance that traces `devices` from now on. What is found goes to `handler`, during calls of {@link pump}.
   * @throws Error with the cause when the kernel refuses: no tracing, lockdown, not root.
   */
  static async open(
    devices: readonly TracedDevice[],
    handler: TraceHandler,
    options: TraceInstanceOptions = {},
  ): Promise<TraceInstance> {
    const { root = tracingFolder, withReads = false } = options
    const folder = join(root, 'instances', options.name ?? (await privateName()))
    const layout = await readTraceLayout(root)
    await mkdir(folder)
    const instance = new TraceInstance(folder, layout, handler, withReads)
    try {
      await instance.#set('buffer_size_kb', String(options.bufferKb ?? (await defaultRingKb())))
      await instance.setDevices(devices)
      instance.#rings = TraceRings.open(folder, layout, withReads)
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
    devices: readonly TracedDevice[],
    handler: TraceHandler,
    options: TraceInstanceOptions & { name: string },
    left: InstanceState,
  ): Promise<TraceInstance> {
    const { root = tracingFolder } = options
    const folder = join(root, 'instances', options.name)
    const layout = await readTraceLayout(root)
    const instance = new TraceInstance(folder, layout, handler, false)
    instance.#folderId = await folderIdOf(folder)
    if (instance.#folderId !== left.folderId) throw new Error('the trace of the kernel is another one')
    instance.#devices = [...devices]
    instance.#filter = left.filter
    instance.#discardFilter = left.discardFilter
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
  setDevices(devices: readonly TracedDevice[]): Promise<void> {
    return this.#turns.run(() => this.#setDevicesNow(devices))
  }

  async #setDevicesNow(devices: readonly TracedDevice[]): Promise<void> {
    this.#filter = traceFilter(devices, this.#withReads)
    try {
      await this.#switchOn(eventFolders.completed, this.#filter)
    } catch {
      // Older kernels know no negation: reads then come through and are left out by the parser.
      this.#filter = traceFilter(devices, true)
      await this.#switchOn(eventFolders.completed, this.#filter)
    }
    // Later: a discard whose end is seen, and not how it began, is noticed; one whose end is missing would be waited for.
    await this.#setDiscards(this.#canReadDiscards ? discardFilter(devices) : '')
    this.#devices = [...devices]
  }

  /** Every bio of the machine is looked at by the kernel while these events are on: only where a disk needs them. */
  async #setDiscards(filter: string): Promise<void> {
    if (filter === this.#discardFilter) return
    this.#discardFilter = filter
    try {
      for (const folder of discardFolders)
        if (filter === '') await this.#set(`${folder}/enable`, '0')
        else await this.#switchOn(folder, filter)
    } catch (error) {
      if (filter === '') throw error
      // Refused: then each discard is one of unknown ranges, which is told when it ends.
      await this.#setDiscards('')
    }
  }

  async #switchOn(folder: string, filter: string): Promise<void> {
    await this.#set(`${folder}/filter`, filter)
    await this.#set(`${folder}/enable`, '1')
  }

  /** The events that are on, and their filters. */
  #events(): { folder: string; filter: string }[] {
    const discards = this.#discardFilter === '' ? [] : discardFolders
    return [
      { folder: eventFolders.completed, filter: this.#filter },
      ...discards.map((folder) => ({ folder, filter: this.#discardFilter })),
    ]
  }

  /** The devices traced. */
  get devices(): readonly TracedDevice[] {
    return this.#devices
  }

  /** What a later process must find. */
  get state(): InstanceState {
    return {
      folderId: this.#folderId,
      filter: this.#filter,
      discardFilter: this.#discardFilter,
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
      discardQueued: (...discard) => this.#handler.discardQueued?.(...discard),
      discardEnded: (...discard) => this.#handler.discardEnded?.(...discard),
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
      for (const { folder, filter } of this.#events()) await this.#switchOn(folder, filter)
      await this.#set('tracing_on', '1')
    } catch (error) {
      this.#handler.lost(`what the kernel traces cannot be read: ${errorMessage(error)}`)
    }
  }

  /** Why events may not have been traced; undefined while they are. */
  async #switchedOff(): Promise<string | undefined> {
    const events = this.#events()
    for (const name of ['tracing_on', ...events.map(({ folder }) => `${folder}/enable`)]) {
      const value = (await readFile(join(this.folder, name), 'utf8')).trim()
      if (!value.startsWith('1')) return `tracing was switched off by someone (${name} is ${value})`
    }
    for (const { folder, filter } of events) {
      const found = (await readFile(join(this.folder, folder, 'filter'), 'utf8')).trim()
      if (found !== filter) return `the filter of the trace was changed by someone (${found})`
    }
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
