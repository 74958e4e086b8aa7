/**
 * Who has the events of which device, and the files in which they are marked: what the kernel's trace tells goes to both.
 * @module
 */
import type { MarkedDisk, MarkFile } from './mark_file.ts'
import type { DeviceNumber, TracedDevice } from './trace.ts'
import type { TraceHandler } from './trace_parser.ts'
import { DiscardsUnderWay } from './discards_under_way.ts'

/** Who wants the events of one device. */
export interface TraceSink {
  changed(firstSector: number, sectorCount: number): void
  lost(reason: string): void
}

/** One device. */
export interface Subscription {
  device: TracedDevice
  /** None yet when an earlier run has left the file, and nobody has asked for the disk. */
  sink: TraceSink | undefined
  file: MarkFile | undefined
  /** Undefined where the device takes one range at a time: then the end of a discard tells all of it. */
  discards: DiscardsUnderWay | undefined
}

/** One number for a device. */
export function keyOf({ major, minor }: DeviceNumber): number {
  return major * 2 ** 20 + minor
}

/** Why a file that was left for the device cannot be gone on from for this disk. */
function refusalOf(file: MarkFile | undefined, disk: MarkedDisk | undefined): string | undefined {
  if (file === undefined || disk === undefined) return 'nothing tells this disk from another one'
  const { header } = file
  if (header.diskId !== disk.diskId) return 'another disk was in its place'
  if (header.volumeId !== disk.volumeId) return 'it was copied to another volume'
  if (header.sizeBytes !== disk.sizeBytes) return 'its size has changed'
  return undefined
}

/** Those of one hub. */
export class Subscriptions implements TraceHandler {
  readonly #byKey = new Map<number, Subscription>()
  readonly #nowMs: () => number
  readonly #write: (work: () => void) => void

  /** @param write runs what writes to files. */
  constructor(nowMs: () => number, write: (work: () => void) => void) {
    this.#nowMs = nowMs
    this.#write = write
  }

  /** Devices to trace. */
  get devices(): TracedDevice[] {
    return [...this.#byKey.values()].map(({ device }) => device)
  }

  /** The files of all. */
  *files(): Generator<MarkFile | undefined> {
    for (const { file } of this.#byKey.values()) yield file
  }

  /** What an earlier run has left, of those devices that it traced. */
  restore(files: readonly MarkFile[], traced: readonly TracedDevice[]): void {
    for (const file of files) {
      const [major, minor] = file.header.device
      const device = traced.find((other) => keyOf(other) === keyOf({ major, minor })) ?? { major, minor }
      if (file.header.hasDiscardsUnderWay)
        this.#write(() => file.lost('discards were under way when the run before ended'))
      const discards = this.#discardsOf(device)
      this.#byKey.set(keyOf(device), { device, sink: undefined, file, discards })
    }
  }

  #discardsOf(device: TracedDevice): DiscardsUnderWay | undefined {
    if (device.mergesDiscards !== true) return undefined
    const { major, minor } = device
    const listener = {
      changed: (first: number, count: number) => this.changed(major, minor, first, count),
      doubt: (reason: string) => {
        const own = this.#byKey.get(keyOf(device))
        if (own !== undefined) this.#lose(own, reason)
      },
    }
    return new DiscardsUnderWay(listener, this.#nowMs)
  }

  /**
   * The events of `device` go to `sink`. A file that was left for this very disk stays with it; `refusal` is why one that was left for the device
   * cannot.
   * @throws Error when somebody has them already.
   */
  add(
    device: TracedDevice,
    sink: TraceSink,
    disk: MarkedDisk | undefined,
  ): { own: Subscription; refusal: string | undefined } {
    const left = this.#byKey.get(keyOf(device))
    if (left?.sink !== undefined) {
      throw new Error(
        `Cannot track device ${device.major}:${device.minor} twice; two of the disks to replicate are one device`,
      )
    }
    // The file of a volume whose disk has another number now says nothing of it any more.
    for (const [key, { sink: other, file }] of this.#byKey)
      if (key !== keyOf(device) && other === undefined && file?.header.volumeId === disk?.volumeId)
        this.#drop(key)
    const refusal = left === undefined ? undefined : refusalOf(left.file, disk)
    const discards = left?.discards ?? this.#discardsOf(device)
    const own: Subscription = { device, sink, file: left?.file, discards }
    if (refusal !== undefined) this.#dropFile(own)
    this.#byKey.set(keyOf(device), own)
    return { own, refusal }
  }

  /** Ends one, and forgets its file. */
  drop(device: DeviceNumber): void {
    this.#drop(keyOf(device))
  }

  /** Forgets what was left of volumes other than these. */
  retain(volumeIds: readonly string[]): void {
    for (const [key, { sink, file }] of this.#byKey)
      if (sink === undefined && !volumeIds.includes(file?.header.volumeId ?? '')) this.#drop(key)
  }

  /** Forgets all; the files stay. */
  clear(): void {
    this.#byKey.clear()
  }

  changed(major: number, minor: number, firstSector: number, sectorCount: number): void {
    const subscription = this.#byKey.get(major * 2 ** 20 + minor)
    subscription?.file?.mark(firstSector, sectorCount)
    subscription?.sink?.changed(firstSector, sectorCount)
  }

  discardQueued(major: number, minor: number, firstSector: number, sectorCount: number): void {
    this.#byKey.get(major * 2 ** 20 + minor)?.discards?.queued(firstSector, sectorCount)
  }

  discardEnded(major: number, minor: number, sectorCount: number): void {
    this.#byKey.get(major * 2 ** 20 + minor)?.discards?.ended(sectorCount)
  }

  /** To be called in the same breath as each turn of reading, before what was read counts as marked. */
  markEnded(): void {
    for (const { discards, file } of this.#byKey.values()) {
      discards?.markEnded()
      file?.setDiscardsUnderWay(discards?.isSettled === false)
    }
  }

  /** Of all devices, see {@link DiscardsUnderWay.beginLook}. */
  beginLook(): (() => void) | undefined {
    const looks: (() => void)[] = []
    for (const { discards } of this.#byKey.values()) {
      const ended = discards?.beginLook()
      if (ended !== undefined) looks.push(ended)
    }
    if (looks.length === 0) return undefined
    return () => {
      for (const ended of looks) ended()
    }
  }

  /** Nobody knows whose events were lost: every disk must be compared. */
  lost(reason: string): void {
    for (const own of this.#byKey.values()) {
      own.discards?.forget()
      this.#lose(own, reason)
    }
  }

  #lose({ sink, file }: Subscription, reason: string): void {
    this.#write(() => file?.lost(reason))
    sink?.lost(reason)
  }

  #drop(key: number): void {
    const subscription = this.#byKey.get(key)
    this.#byKey.delete(key)
    if (subscription !== undefined) this.#dropFile(subscription)
  }

  #dropFile(subscription: Subscription): void {
    const { file } = subscription
    subscription.file = undefined
    this.#write(() => file?.remove())
  }
}
