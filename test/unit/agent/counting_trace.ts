/**
 * The kernel's trace as the hub sees it, which counts how often it is read and checked.
 * @module
 */
import type { DeviceNumber, Trace, TraceKernel } from '../../../agent/tracking/trace.ts'
import type { TraceHandler } from '../../../agent/tracking/trace_parser.ts'

/** Finds what had completed when a reading began, and nothing that completes meanwhile. */
export class CountingTrace implements Trace {
  devices: readonly DeviceNumber[] = []
  readonly state = { folderId: '1', filter: '', discardFilter: '', lost: 0, records: 0 }
  readonly counts = { reads: 0, checks: 0 }
  /** A reading that has begun ends once this does. */
  gate: Promise<void> = Promise.resolve()
  #handler: TraceHandler | undefined
  #ring: { device: DeviceNumber; firstSector: number }[] = []

  get kernel(): TraceKernel {
    return {
      open: (devices, handler) => {
        this.devices = devices
        this.#handler = handler
        return Promise.resolve(this)
      },
      adopt: () => Promise.reject(new Error('Nothing was left')),
      remove: () => Promise.resolve(true),
    }
  }

  /** A write of 4 KiB has completed. */
  completed(device: DeviceNumber, firstSector: number): void {
    this.#ring.push({ device, firstSector })
  }

  setDevices(devices: readonly DeviceNumber[]): Promise<void> {
    this.devices = devices
    return Promise.resolve()
  }

  async pump(): Promise<void> {
    this.counts.reads += 1
    for (const { device, firstSector } of this.#ring.splice(0))
      this.#handler?.changed(device.major, device.minor, firstSector, 8)
    await this.gate
  }

  check(): Promise<void> {
    this.counts.checks += 1
    return Promise.resolve()
  }

  leave(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
