/**
 * One tracing instance for all disks of the agent: hands each disk its own events and reads them often enough that the rings never fill. With a
 * folder it outlives the process: what happens meanwhile waits in the rings, and what was read is in the disks' files.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { BootTracking, ClaimedDisk } from './boot_tracking.ts'
import type { MarkedDisk } from './mark_file.ts'
import type { DeviceNumber, Trace, TracedDevice, TraceInstanceOptions, TraceKernel } from './trace.ts'
import type { TraceSink } from './subscriptions.ts'
import type { TrackFolder } from './track_folder.ts'
import type { TrackMemory } from './track_memory.ts'
import { errorMessage } from '../../domain/errors.ts'
import { TurnQueue } from '../../domain/turn_queue.ts'
import { DiskMemory } from './disk_memory.ts'
import { joined } from './track_memory.ts'
import { KeptTracking } from './kept_tracking.ts'
import { keyOf, Subscriptions } from './subscriptions.ts'
import { TraceInstance } from './trace_instance.ts'

/** How often the rings are read when nobody asks. */
const pollIntervalMs = 50

/**
 * The kernel's counters are looked at this often, and before a claim that nothing changed. Lost events show among the events too; the counters
 * are the second witness.
 */
const checkIntervalMs = 1000

/** What a hub is made with. */
export interface TraceHubOptions extends Pick<TraceInstanceOptions, 'root' | 'bufferKb'> {
  /** Where tracking outlives the process. */
  folder?: TrackFolder
  /** What carries it through a reboot. */
  boot?: BootTracking
  /** Told when it no longer can. */
  warn?: (message: string) => void
  /** Default: the machine's. */
  kernel?: TraceKernel
}

/** Shared by the trackers of all disks. The instance exists while a device is tracked. */
export class TraceHub {
  readonly #clock: Clock
  readonly #options: Pick<TraceInstanceOptions, 'root' | 'bufferKb'>
  readonly #kernel: TraceKernel
  readonly #kept: KeptTracking | undefined
  readonly #boot: BootTracking | undefined
  readonly #subscriptions: Subscriptions
  #trace: Trace | undefined
  #timer: NodeJS.Timeout | undefined
  #lastCheckMs = 0
  /** Why nothing of an earlier run can be gone on from; as it stands after "because". */
  #refusal = ''
  #hasLooked = false
  #hasLeft = false
  /** A reading that was asked for and has not begun: whoever asks meanwhile is served by it too. */
  #next: { isStrict: boolean; done: Promise<void> } | undefined
  /** Openings and closings happen one after the other. */
  readonly #turns = new TurnQueue()

  constructor(clock: Clock, options: TraceHubOptions = {}) {
    const { folder, boot, warn = () => undefined, kernel = TraceInstance, ...rest } = options
    this.#clock = clock
    this.#options = rest
    this.#kernel = kernel
    this.#kept = folder && new KeptTracking(folder, warn)
    this.#boot = boot
    this.#subscriptions = new Subscriptions(
      () => clock.monotonicMs(),
      (work) => this.#kept?.run(work),
    )
  }

  /**
   * Sends the events of `device` to `sink` from the moment this resolves. Named by what it is, the disk has a memory, which may hold what an earlier
   * run has left.
   * @throws Error when somebody has them already, who would hear of no change any more, or when the kernel refuses.
   */
  subscribe(device: TracedDevice, sink: TraceSink, disk?: MarkedDisk): Promise<TrackMemory | undefined> {
    return this.#turns.run(async () => {
      await this.#find()
      const { own, refusal = this.#refusal } = this.#subscriptions.add(device, sink, disk)
      try {
        await this.#apply()
      } catch (error) {
        this.#subscriptions.drop(device)
        throw error
      }
      const kept = this.#kept
      if (kept === undefined || disk === undefined) return undefined
      const isLeft = own.file !== undefined
      own.file ??= kept.createMarks(device, disk)
      return own.file && new DiskMemory({ file: own.file, refusal: isLeft ? undefined : refusal, kept })
    })
  }

  /** Ends it; the last one takes the instance away. */
  unsubscribe(device: DeviceNumber): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#hasLeft) return
      this.#subscriptions.drop(device)
      await this.#apply()
    })
  }

  /** Goes on reading what an earlier run has left, before anybody asks for a disk: rings that nobody reads overflow. */
  resume(): Promise<void> {
    return this.#turns.run(() => this.#find())
  }

  /** Forgets what earlier runs left of volumes other than these. */
  retain(volumeIds: readonly string[]): Promise<void> {
    return this.#turns.run(async () => {
      await this.#find()
      this.#subscriptions.retain(volumeIds)
      await this.#apply()
    })
  }

  /** This process ends: what is there is read once more, then the kernel goes on alone. Where nothing is kept, everything ends. */
  leave(): Promise<void> {
    return this.#turns.run(async () => {
      if (this.#hasLeft) return
      this.#hasLeft = true
      clearInterval(this.#timer)
      await this.pump(true)
      const trace = this.#trace
      this.#trace = undefined
      if (this.#kept?.isOn === true) await trace?.leave()
      else await trace?.close()
      this.#kept?.close([...this.#subscriptions.files()])
      this.#subscriptions.clear()
    })
  }

  /**
   * Hands out every event that is there now. However many disks ask in the same breath, the rings are read once: a look into each processor's ring for
   * each of fifty disks, ten times a second, would cost more than all else that an idle agent does. One reading that is under way already does not do:
   * it may be past what is asked for.
   */
  pump(isStrict: boolean): Promise<void> {
    const next = this.#next
    if (next !== undefined) {
      next.isStrict ||= isStrict
      return next.done
    }
    const own = { isStrict, done: Promise.resolve() }
    own.done = own.done.then(() => {
      this.#next = undefined
      return this.#pumpNow(own.isStrict)
    })
    this.#next = own
    return own.done
  }

  async #pumpNow(isStrict: boolean): Promise<void> {
    const trace = this.#trace
    if (trace === undefined) return
    await this.#look(trace)
    const lookEnded = this.#subscriptions.beginLook()
    if (lookEnded !== undefined) {
      await this.#look(trace)
      lookEnded()
      this.#note(trace)
    }
    const now = this.#clock.monotonicMs()
    if (!isStrict && now - this.#lastCheckMs < checkIntervalMs) return
    this.#lastCheckMs = now
    await trace.check()
    this.#note(trace)
  }

  /** Reads all rings once. */
  #look(trace: Trace): Promise<void> {
    return trace.pump(() => this.#note(trace))
  }

  /** Marks what has ended, then writes down that it was read. */
  #note(trace: Trace): void {
    this.#subscriptions.markEnded()
    if (this.#trace === trace) this.#kept?.write(trace, this.#subscriptions.files())
  }

  /** Looks once what an earlier process has left, and goes on from it or clears it away. */
  async #find(): Promise<void> {
    const kept = this.#kept
    if (this.#hasLooked || kept === undefined) return
    this.#hasLooked = true
    const left = kept.find()
    if (typeof left === 'string') this.#refusal = left
    else {
      this.#subscriptions.restore(left.files, left.ring.devices)
      try {
        const options = { ...this.#options, name: kept.instanceName }
        const trace = await this.#kernel.adopt(left.ring.devices, this.#subscriptions, options, left.ring)
        kept.begin(trace, left.ring.ringId)
        this.#start(trace)
        this.#refusal = 'the run before did not track it'
        return
      } catch (error) {
        this.#refusal = errorMessage(error)
        for (const file of left.files) file.close()
        this.#subscriptions.clear()
      }
    }
    const isCleared = await this.#clearAway(kept)
    // What an earlier run in this boot has left is newer than what was sealed before it, and why it cannot be gone on from is the reason.
    if (isCleared && typeof left === 'string') await this.#takeOver(kept)
  }

  /** Removes what was kept. Where that fails, nothing is kept from now on. */
  async #clearAway(kept: KeptTracking): Promise<boolean> {
    kept.clear()
    if (await this.#kernel.remove(kept.instanceName, this.#options.root)) return true
    kept.stop(
      `somebody looks into the kernel's tracing instance ${kept.instanceName}, which an earlier run left`,
    )
    return false
  }

  /** Goes on from what the boot before has sealed, if it has. */
  async #takeOver(kept: KeptTracking): Promise<void> {
    const boot = this.#boot
    const claimed = await boot?.claim()
    if (boot === undefined || claimed === undefined) return
    if (typeof claimed === 'string') {
      this.#refusal = claimed
      return
    }
    let missing: string | undefined
    try {
      missing = await this.#readBoot(kept, boot, claimed)
    } catch (error) {
      missing = errorMessage(error)
    }
    this.#refusal = missing ?? 'it was not sealed at the last shutdown'
    if (missing !== undefined) await this.#clearAway(kept)
  }

  /** Answers why something may be missing; nothing is left then. */
  async #readBoot(
    kept: KeptTracking,
    boot: BootTracking,
    claimed: readonly ClaimedDisk[],
  ): Promise<string | undefined> {
    const devices = claimed.map(({ device }) => device)
    const options = { ...this.#options, name: kept.instanceName }
    // Before the kernel's own trace is ended: what happens in between is in both.
    const trace = await this.#kernel.open(devices, this.#subscriptions, options)
    kept.begin(trace)
    const made = claimed.map((disk) => ({ ...disk, file: kept.createMarks(disk.device, disk.disk) }))
    const byKey = new Map(made.map(({ device, file }) => [keyOf(device), file]))
    let missing: string | undefined
    const fault = await boot.read(devices, {
      changed: (major, minor, firstSector, sectorCount) =>
        byKey.get(keyOf({ major, minor }))?.mark(firstSector, sectorCount),
      lost: (reason) => {
        missing ??= reason
      },
    })
    if (fault === undefined && missing === undefined)
      for (const { file, state, marks } of made)
        kept.run(() => file?.save(state, joined(marks, file.marks())))
    const refusal = fault ?? missing ?? (kept.isOn ? undefined : 'what outlives a run cannot be written')
    if (refusal === undefined) {
      this.#subscriptions.restore(
        made.flatMap(({ file }) => file ?? []),
        devices,
      )
      this.#start(trace)
      return undefined
    }
    kept.close(byKey.values())
    await trace.close()
    return refusal
  }

  /** Makes the kernel trace what is subscribed. */
  async #apply(): Promise<void> {
    const kept = this.#kept?.isOn === true ? this.#kept : undefined
    const { devices } = this.#subscriptions
    const trace = this.#trace
    if (devices.length === 0) {
      if (trace === undefined) return
      clearInterval(this.#timer)
      this.#trace = undefined
      kept?.clear()
      await trace.close()
    } else if (trace === undefined) {
      const name = kept === undefined ? {} : { name: kept.instanceName }
      const made = await this.#kernel.open(devices, this.#subscriptions, { ...this.#options, ...name })
      kept?.begin(made)
      this.#start(made)
    } else if (!hasSameDevices(trace.devices, devices)) {
      await trace.setDevices(devices)
      kept?.write(trace, this.#subscriptions.files())
    }
  }

  #start(trace: Trace): void {
    this.#trace = trace
    // Also while replication is paused or the far end is away: an overflow would cost a rescan.
    this.#timer = setInterval(() => void this.pump(false), pollIntervalMs)
    this.#timer.unref()
  }
}

function hasSameDevices(left: readonly TracedDevice[], right: readonly TracedDevice[]): boolean {
  const nameOf = (device: TracedDevice) => `${keyOf(device)} ${device.mergesDiscards === true}`
  const names = new Set(left.map(nameOf))
  return names.size === right.length && right.every((device) => names.has(nameOf(device)))
}
