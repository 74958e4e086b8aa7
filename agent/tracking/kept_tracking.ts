/**
 * What of the agent's tracking is kept for the next run: the record of the rings and the files of the disks. When it cannot be written, nothing is
 * kept any more, and the next run compares: without the record, or with more events taken out than it counts, nothing found is believed.
 * @module
 */
import type { MarkedDisk, MarkFile } from './mark_file.ts'
import type { RingRecord } from './ring_record.ts'
import type { DeviceNumber, Trace } from './trace.ts'
import type { LeftTracking, TrackFolder } from './track_folder.ts'
import { errorMessage } from '../../domain/errors.ts'

/** The keeping of one hub. */
export class KeptTracking {
  readonly #folder: TrackFolder
  readonly #warn: (message: string) => void
  #record: RingRecord | undefined
  #isOn = true

  constructor(folder: TrackFolder, warn: (message: string) => void) {
    this.#folder = folder
    this.#warn = warn
  }

  /** Whether anything is kept. */
  get isOn(): boolean {
    return this.#isOn
  }

  /** Of the kernel's tracing instance. */
  get instanceName(): string {
    return this.#folder.instanceName
  }

  /** What the run before left; else the reason, as it stands after "because". */
  find(): LeftTracking | string {
    let found: LeftTracking | string = 'what outlives a run cannot be written'
    this.run(() => {
      found = this.#folder.find()
    })
    return found
  }

  /** From now on `trace` is read; with `ringId`, as an earlier run did. */
  begin(trace: Trace, ringId?: string): void {
    this.run(() => {
      this.#record = this.#folder.record(trace.state, trace.devices, ringId)
    })
  }

  /** A file for a disk; undefined when nothing is kept. */
  createMarks(device: DeviceNumber, disk: MarkedDisk): MarkFile | undefined {
    let file: MarkFile | undefined
    this.run(() => {
      if (this.#record !== undefined) file = this.#folder.createMarks(this.#record.ringId, device, disk)
    })
    return file
  }

  /** Writes down first what was marked, then that its events were taken. */
  write(trace: Trace, files: Iterable<MarkFile | undefined>): void {
    this.run(() => {
      for (const file of files) file?.flush()
      this.#record?.write(trace.state, trace.devices)
    })
  }

  /** Closes all for the next run. */
  close(files: Iterable<MarkFile | undefined>): void {
    this.run(() => {
      for (const file of files) file?.close()
      this.#record?.close()
    })
    this.#record = undefined
  }

  /** Removes all; what comes later is kept again. */
  clear(): void {
    this.run(() => {
      this.#record?.close()
      this.#folder.clear()
    })
    this.#record = undefined
  }

  /** Keeps nothing from now on, for this reason. */
  stop(reason: string): void {
    this.#isOn = false
    this.#record = undefined
    this.#warn(`The disks are compared after a restart of the agent, because ${reason}`)
  }

  /** Runs what writes, while anything is kept. Never throws. */
  run(work: () => void): void {
    if (!this.#isOn) return
    try {
      work()
    } catch (error) {
      this.stop(`what is to outlive it cannot be written: ${errorMessage(error)}`)
      try {
        this.#folder.clear()
      } catch (clearError) {
        this.#warn(`Cannot remove what was kept for the next run: ${errorMessage(clearError)}`)
      }
    }
  }
}
