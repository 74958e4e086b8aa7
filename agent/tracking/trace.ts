/**
 * The kernel's tracing as the rest of the agent uses it: devices, an instance and where it stands, and what makes instances.
 * @module
 */
import type { TraceHandler } from './trace_parser.ts'

/** A device as the kernel numbers it. */
export interface DeviceNumber {
  major: number
  minor: number
}

/** A device to trace. */
export interface TracedDevice extends DeviceNumber {
  /** It takes discards of several ranges as one request: see `DiscardsUnderWay`. */
  mergesDiscards?: boolean
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
  const own = anyOf(devices)
  return withReads ? own : `(${own}) && !(rwbs ~ "R*")`
}

/** The kernel's filter for discards of those of `devices` that merge them; empty when none does. */
export function discardFilter(devices: readonly TracedDevice[]): string {
  const merging = devices.filter(({ mergesDiscards }) => mergesDiscards)
  return merging.length === 0 ? '' : `(${anyOf(merging)}) && rwbs ~ "D*"`
}

function anyOf(devices: readonly DeviceNumber[]): string {
  return devices.map(({ major, minor }) => `dev == ${major * 2 ** 20 + minor}`).join(' || ')
}

/** What an instance is made with. */
export interface TraceInstanceOptions {
  root?: string
  /** Name that outlives the process. Default: one of this process, removed when it has died. */
  name?: string
  /** Ring buffer for each processor, KiB. Default: by the number of processors, see {@link ringKbFor}. */
  bufferKb?: number
  /** Let reads through too: only the self-test wants them. */
  withReads?: boolean
}

/** Where an instance stands: what a later process must find to go on with it. */
export interface InstanceState {
  /** Tells it from another one of the same name. */
  folderId: string
  filter: string
  /** Of the events that tell of discards; empty where these are not traced. */
  discardFilter: string
  /** Records lost and taken out, as the kernel counts. */
  lost: number
  records: number
}

/** One tracing instance. See `TraceInstance` for each of these. */
export interface Trace {
  readonly devices: readonly TracedDevice[]
  readonly state: InstanceState
  setDevices(devices: readonly TracedDevice[]): Promise<void>
  pump(onTurn?: () => void): Promise<void>
  check(): Promise<void>
  leave(): Promise<void>
  close(): Promise<void>
}

/** What makes, finds again and removes instances: `TraceInstance` itself, but in tests. */
export interface TraceKernel {
  open(devices: readonly TracedDevice[], handler: TraceHandler, options: TraceInstanceOptions): Promise<Trace>
  adopt(
    devices: readonly TracedDevice[],
    handler: TraceHandler,
    options: TraceInstanceOptions & { name: string },
    left: InstanceState,
  ): Promise<Trace>
  remove(name: string, root?: string): Promise<boolean>
}
