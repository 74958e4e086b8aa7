/**
 * Keeps an eye on the machine's disks: those that appear, grow or go away while the agent runs.
 * @module
 */
import type { DiskUsage, SourceDisk } from '../../domain/source_server.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { errorMessage } from '../../domain/errors.ts'

/** How often the machine is looked at. */
export const diskWatchIntervalMs = 5000

/** How often in any case by a whole look, which sees how disks are used, too: with fifty of them it costs as much as all else that an idle agent does. */
const wholeLookEveryMs = 60_000

/** How often disks that stay the same are asked how full they are. */
const usageEveryMs = 24 * 3_600_000

/** What the watch works with. */
export interface DiskWatchContext {
  /** The disks as the inventory sees them now. */
  look(): Promise<SourceDisk[]>
  /** A text that is another one when it is worth looking. */
  glance(): Promise<string>
  /** How full they are, by device name. It may take any time, and nothing waits for it. */
  usage(disks: readonly SourceDisk[]): Promise<ReadonlyMap<string, DiskUsage>>
  clock: Pick<Clock, 'monotonicMs'>
  log: Log
  /** The disks have become others. */
  onChange(): void
}

/** The disks at the last look, and whether the gateway knows of them. */
export class DiskWatch {
  readonly #context: DiskWatchContext
  #disks: SourceDisk[]
  #told: string
  #trouble: string | undefined
  #isLooking = false
  #usage: { isAsked: boolean; atMs: number | undefined; found: ReadonlyMap<string, DiskUsage> } = {
    isAsked: false,
    atMs: undefined,
    found: new Map(),
  }
  /** What a glance showed before the last whole look that went well. */
  #seen: { glance: string; atMs: number } | undefined

  /** @param disks those that the gateway was told at the start of this run. */
  constructor(disks: SourceDisk[], context: DiskWatchContext) {
    this.#disks = disks
    this.#told = JSON.stringify(disks)
    this.#context = context
  }

  /** Whether the agent offers this device: it opens no other, whoever asks. */
  isOffered(deviceName: string): boolean {
    return this.#disks.some((disk) => disk.deviceName === deviceName && disk.excludedBecause === undefined)
  }

  /** The disks, when the gateway was last told of others. */
  get untold(): SourceDisk[] | undefined {
    const disks = this.#disks.map((disk) => {
      const usage = this.#usage.found.get(disk.deviceName)
      return usage === undefined ? disk : { ...disk, usage }
    })
    return JSON.stringify(disks) === this.#told ? undefined : disks
  }

  /** The gateway knows of `disks`. */
  told(disks: SourceDisk[]): void {
    this.#told = JSON.stringify(disks)
  }

  /** Looks once. Never rejects: a machine that can't be looked at keeps the disks it had, and the log says so once. */
  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    const { look, glance, clock, log, onChange } = this.#context
    try {
      const seen = { glance: await glance(), atMs: clock.monotonicMs() }
      const before = this.#seen
      if (before?.glance === seen.glance && seen.atMs - before.atMs < wholeLookEveryMs) return
      this.#seen = undefined
      const disks = await look()
      this.#seen = seen
      this.#trouble = undefined
      if (JSON.stringify(disks) === JSON.stringify(this.#disks)) return
      // What becomes of disks that are left out is told to the gateway, but is no news of what is copied.
      if (listInWords(disks) !== listInWords(this.#disks))
        log.info(`The disks of this machine have changed: ${listInWords(disks)}`)
      this.#disks = disks
      this.#usage.atMs = undefined
      onChange()
    } catch (error) {
      const trouble = errorMessage(error)
      if (trouble !== this.#trouble) log.warning(`Cannot look at the disks of this machine: ${trouble}`)
      this.#trouble = trouble
    } finally {
      this.#isLooking = false
    }
  }

  /**
   * Asks how full the disks are, when that is due. Never rejects. While one question is open no other is asked: a file system that
   * hangs takes one process and no more.
   */
  async askUsage(): Promise<void> {
    const { usage, clock, log, onChange } = this.#context
    const { isAsked, atMs, found } = this.#usage
    if (isAsked || (atMs !== undefined && clock.monotonicMs() - atMs < usageEveryMs)) return
    const asked = { isAsked: true, atMs: clock.monotonicMs(), found }
    this.#usage = asked
    try {
      asked.found = await usage(this.#disks)
      if (this.untold !== undefined) onChange()
    } catch (error) {
      log.warning(`Cannot tell how full the disks of this machine are: ${errorMessage(error)}`)
    } finally {
      asked.isAsked = false
    }
  }

  /** Looks every few seconds until `signal` aborts. */
  start(signal: AbortSignal): void {
    void this.askUsage()
    const timer = setInterval(() => void this.look().then(() => this.askUsage()), diskWatchIntervalMs)
    timer.unref()
    signal.addEventListener('abort', () => clearInterval(timer), { once: true })
    if (signal.aborted) clearInterval(timer)
  }
}

function listInWords(disks: readonly SourceDisk[]): string {
  const offered = disks.filter((disk) => disk.excludedBecause === undefined)
  return offered.map(({ deviceName, sizeBytes }) => `${deviceName} (${sizeBytes} bytes)`).join(', ')
}
