/**
 * A private instance of the kernel's tracing: every completed write of the disks asked for, and whether any event was lost. No kernel module, and
 * nobody else's tracing is touched.
 * @module
 */
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TraceHandler } from './trace_parser.ts'
import { errorMessage } from '../../domain/errors.ts'
import { TraceParser } from './trace_parser.ts'

/** Where the kernel shows tracing. */
export const tracingFolder = '/sys/kernel/tracing'

const instancePrefix = 'rehost-'
const eventFolder = 'events/block/block_rq_complete'

/** Reads of the pipe in one go before other work gets its turn. */
const readsPerTurn = 64
const readBytes = 64 * 1024

/** A device as the kernel numbers it. */
export interface DeviceNumber {
  major: number
  minor: number
}

/** `254:0` as numbers. */
export function parseDeviceNumber(text: string): DeviceNumber {
  const [major, minor] = text.split(':').map(Number)
  if (!Number.isInteger(major) || !Number.isInteger(minor)) {
    throw new TypeError(`Cannot read ${text} as a device number`)
  }
  return { major: major ?? 0, minor: minor ?? 0 }
}

/** The kernel's filter for writes of these devices; with `withReads`, for everything. */
export function traceFilter(devices: readonly DeviceNumber[], withReads = false): string {
  const own = devices.map(({ major, minor }) => `dev == ${major * 2 ** 20 + minor}`).join(' || ')
  return withReads ? own : `(${own}) && !(rwbs ~ "R*")`
}

/** When process `pid` started, in ticks after boot; undefined when there is none. Tells a process from a later one with the same number. */
async function startTicks(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined
    throw error
  }
}

/** Removes instances whose process has died: each holds memory of the kernel. Answers the names of those removed. */
export async function removeStaleInstances(root = tracingFolder): Promise<string[]> {
  const removed: string[] = []
  for (const name of await readdir(join(root, 'instances'))) {
    const [, pid, ticks] = /^rehost-(\d+)-(\d+)-\d+$/.exec(name) ?? []
    if (pid === undefined || (await startTicks(Number(pid))) === ticks) continue
    if (await removeInstance(join(root, 'instances', name))) removed.push(name)
  }
  return removed
}

/** Removes an instance; false when another was faster, or somebody looks into it, which does no harm. */
async function removeInstance(folder: string): Promise<boolean> {
  try {
    await rmdir(folder)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ENOENT' && code !== 'EBUSY') throw error
    return false
  }
}

let instanceCounter = 0

/** What an instance is made with. */
export interface TraceInstanceOptions {
  root?: string
  /** Ring buffer for each processor, KiB. 8 MiB held 100,000 writes a second without loss. */
  bufferKb?: number
  /** Let reads through too: only the self-test wants them. */
  withReads?: boolean
}

/** One tracing instance. Its events must be read often: {@link TraceInstance.pump}. */
export class TraceInstance {
  readonly folder: string
  readonly #withReads: boolean
  readonly #parser = new TraceParser()
  readonly #buffer = Buffer.allocUnsafe(readBytes)
  readonly #handler: TraceHandler
  #pipe: number | undefined
  #devices: DeviceNumber[] = []
  #lostEvents = 0

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
    instanceCounter += 1
    const ticks = await startTicks(process.pid)
    const name = `${instancePrefix}${process.pid}-${ticks}-${instanceCounter}`
    const folder = join(options.root ?? tracingFolder, 'instances', name)
    await mkdir(folder)
    const instance = new TraceInstance(folder, handler, options.withReads ?? false)
    try {
      await instance.#set('buffer_size_kb', String(options.bufferKb ?? 8192))
      // Without process, processor and time a line is half as long, and no process name is in it.
      await instance.#set('options/context-info', '0')
      await instance.setDevices(devices)
      instance.#pipe = openSync(join(folder, 'trace_pipe'), constants.O_RDONLY | constants.O_NONBLOCK)
      await instance.#set(`${eventFolder}/enable`, '1')
      await instance.#set('tracing_on', '1')
    } catch (error) {
      await instance.close()
      throw error
    }
    return instance
  }

  /** Traces exactly `devices` from now on; those traced before and after lose nothing. */
  async setDevices(devices: readonly DeviceNumber[]): Promise<void> {
    const filter = join(this.folder, eventFolder, 'filter')
    try {
      await writeFile(filter, traceFilter(devices, this.#withReads))
    } catch {
      // Older kernels know no negation: reads then come through and are left out by the parser.
      await writeFile(filter, traceFilter(devices, true))
    }
    this.#devices = [...devices]
  }

  /** The devices traced. */
  get devices(): readonly DeviceNumber[] {
    return this.#devices
  }

  /** Whether anything was traced, reads included, as the kernel counts it. Consumes nothing. */
  async hasEvents(): Promise<boolean> {
    return (await this.#sumStats(/^(?:entries|read events): (\d+)$/gm)) > 0
  }

  /** Reads every event that is there. Never waits for one. */
  async pump(): Promise<void> {
    for (let reads = 1; this.#readOnce(); reads++) {
      if (reads % readsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #readOnce(): boolean {
    if (this.#pipe === undefined) return false
    try {
      // The kernel fills about a page at a time, from memory: this takes microseconds and never blocks.
      const bytes = readSync(this.#pipe, this.#buffer, 0, this.#buffer.length, null)
      if (bytes === 0) return false
      this.#parser.push(this.#buffer.subarray(0, bytes), this.#handler)
      return true
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return false
      this.#handler.lost(`the kernel's events cannot be read: ${errorMessage(error)}`)
      return false
    }
  }

  /** Looks at the kernel's own counters: any event lost since the last look, or tracing switched off by someone, is told to the handler. */
  async check(): Promise<void> {
    try {
      const lost = await this.#countLost()
      if (lost > this.#lostEvents) this.#handler.lost(`the kernel dropped ${lost - this.#lostEvents} events`)
      this.#lostEvents = lost
      for (const name of ['tracing_on', `${eventFolder}/enable`]) {
        const value = (await readFile(join(this.folder, name), 'utf8')).trim()
        if (value.startsWith('1')) continue
        this.#handler.lost(`tracing was switched off by someone (${name} is ${value})`)
        await this.#set(name, '1')
      }
    } catch (error) {
      this.#handler.lost(`the kernel's counters cannot be read: ${errorMessage(error)}`)
    }
  }

  #countLost(): Promise<number> {
    return this.#sumStats(/^(?:overrun|commit overrun|dropped events): (\d+)$/gm)
  }

  async #sumStats(pattern: RegExp): Promise<number> {
    let sum = 0
    for (const cpu of await readdir(join(this.folder, 'per_cpu'))) {
      const stats = await readFile(join(this.folder, 'per_cpu', cpu, 'stats'), 'utf8')
      for (const match of stats.matchAll(pattern)) sum += Number(match[1])
    }
    return sum
  }

  /** Gives the kernel's memory back. Somebody may have removed the instance already, or be reading in it: the next start removes what is left. */
  async close(): Promise<void> {
    if (this.#pipe !== undefined) closeSync(this.#pipe)
    this.#pipe = undefined
    await removeInstance(this.folder)
  }

  #set(name: string, value: string): Promise<void> {
    return writeFile(join(this.folder, name), value)
  }
}
