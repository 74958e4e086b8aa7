/**
 * One tracing instance for all disks of the agent: hands each disk its own events and reads them often enough that the ring never fills.
 * @module
 */
import type { Clock } from '../clock.ts'
import type { DeviceNumber, TraceInstanceOptions } from './trace_instance.ts'
import { TraceInstance } from './trace_instance.ts'

/** How often the ring is read when nobody asks. */
const pollIntervalMs = 50

/**
 * The kernel's counters are looked at this often, and before a claim that nothing changed. Lost events show among the events too; the counters
 * are the second witness.
 */
const checkIntervalMs = 1000

/** The disks of a server are asked one after the other: one look at the counters serves them all. */
const strictIntervalMs = 20

/** Who wants the events of one device. */
export interface TraceSink {
  changed(firstSector: number, sectorCount: number): void
  lost(reason: string): void
}

interface Subscription {
  device: DeviceNumber
  sink: TraceSink
}

/** Shared by the trackers of all disks. The instance exists while somebody is subscribed. */
export class TraceHub {
  readonly #clock: Clock
  readonly #options: TraceInstanceOptions
  readonly #subscriptions = new Map<number, Subscription>()
  #instance: TraceInstance | undefined
  #timer: NodeJS.Timeout | undefined
  #lastCheckMs = 0
  /** Openings and closings happen one after the other. */
  #turn: Promise<void> = Promise.resolve()

  constructor(clock: Clock, options: TraceInstanceOptions = {}) {
    this.#clock = clock
    this.#options = options
  }

  /**
   * Sends the events of `device` to `sink` from the moment this resolves.
   * @throws Error when somebody has them already, who would hear of no change any more, or when the kernel refuses.
   */
  subscribe(device: DeviceNumber, sink: TraceSink): Promise<void> {
    const { major, minor } = device
    const key = keyOf(major, minor)
    return this.#inTurn(async () => {
      if (this.#subscriptions.has(key)) {
        throw new Error(
          `Cannot track device ${major}:${minor} twice; two of the disks to replicate are one device`,
        )
      }
      this.#subscriptions.set(key, { device, sink })
      try {
        await this.#apply()
      } catch (error) {
        this.#subscriptions.delete(key)
        throw error
      }
    })
  }

  /** Ends it; the last one takes the instance away. */
  unsubscribe(device: DeviceNumber): Promise<void> {
    return this.#inTurn(async () => {
      this.#subscriptions.delete(keyOf(device.major, device.minor))
      await this.#apply()
    })
  }

  /** Hands out every event that is there now. */
  async pump(isStrict: boolean): Promise<void> {
    const instance = this.#instance
    if (instance === undefined) return
    await instance.pump()
    const now = this.#clock.monotonicMs()
    if (now - this.#lastCheckMs < (isStrict ? strictIntervalMs : checkIntervalMs)) return
    this.#lastCheckMs = now
    await instance.check()
  }

  async #apply(): Promise<void> {
    const devices = [...this.#subscriptions.values()].map(({ device }) => device)
    if (devices.length === 0) {
      clearInterval(this.#timer)
      const instance = this.#instance
      this.#instance = undefined
      await instance?.close()
    } else if (this.#instance === undefined) {
      this.#instance = await TraceInstance.open(devices, this.#handler(), this.#options)
      // Also while replication is paused or the far end is away: an overflow would cost a rescan.
      this.#timer = setInterval(() => void this.#instance?.pump(), pollIntervalMs)
      this.#timer.unref()
    } else {
      await this.#instance.setDevices(devices)
    }
  }

  #handler() {
    return {
      changed: (major: number, minor: number, firstSector: number, sectorCount: number) =>
        this.#subscriptions.get(keyOf(major, minor))?.sink.changed(firstSector, sectorCount),
      // Nobody knows whose events were lost: every disk must be compared.
      lost: (reason: string) => {
        for (const { sink } of this.#subscriptions.values()) sink.lost(reason)
      },
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const own = this.#turn.then(work)
    // The next in line goes ahead whatever became of this one; this one's caller sees the failure.
    this.#turn = own.catch(() => undefined)
    return own
  }
}

/** One number for a device. */
function keyOf(major: number, minor: number): number {
  return major * 2 ** 20 + minor
}
