/**
 * The kernel's tracing as the hub sees it, simulated: rings that outlive processes, overflow, are emptied or read by others, and processes that are
 * killed between any two steps.
 * @module
 */
import type {
  DeviceNumber,
  InstanceState,
  Trace,
  TracedDevice,
  TraceKernel,
} from '../../../agent/tracking/trace.ts'
import type { TraceHandler } from '../../../agent/tracking/trace_parser.ts'

/** The process is gone: nothing it does has an effect any more. */
export class Killed extends Error {
  override name = 'Killed'
}

/** A process that may be killed at any step. */
export class SimProcess {
  /** Steps until it is killed. */
  stepsLeft = Number.POSITIVE_INFINITY
  isDead = false

  /** Every effect on the world outside asks here first. @throws Killed */
  step(): void {
    if (!this.isDead && this.stepsLeft-- <= 0) this.isDead = true
    if (this.isDead) throw new Killed()
  }
}

interface SimEvent {
  /** Default: what it tells of is no discard. */
  discard?: 'queued' | 'completed'
  device: DeviceNumber
  firstSector: number
  sectorCount: number
}

interface SimInstance {
  folderId: string
  devices: TracedDevice[]
  ring: SimEvent[]
  lost: number
  read: number
  isOn: boolean
}

/** One machine's tracing. `room` events fit into a ring. */
export class SimKernel {
  readonly #room: number
  #instances = new Map<string, SimInstance>()
  #made = 0

  constructor(room: number) {
    this.#room = room
  }

  /** A write or discard has completed, or a discard was queued. */
  happened(event: SimEvent): void {
    for (const instance of this.#instances.values()) {
      const { major, minor } = event.device
      const traced = instance.devices.find((device) => device.major === major && device.minor === minor)
      const isTraced = event.discard === 'queued' ? traced?.mergesDiscards === true : traced !== undefined
      if (!instance.isOn || !isTraced) continue
      instance.ring.push(event)
      if (instance.ring.length <= this.#room) continue
      instance.ring.shift()
      instance.lost += 1
    }
  }

  /** Somebody takes events away. */
  steal(): void {
    for (const instance of this.#instances.values())
      if (instance.ring.shift() !== undefined) instance.read += 1
  }

  /** Somebody removes or makes anew what no process has open. */
  remove(isMadeAnew: boolean): void {
    for (const [name, { devices }] of [...this.#instances]) {
      this.#instances.delete(name)
      if (isMadeAnew) this.#make(name, devices)
    }
  }

  /** Somebody switches tracing off. */
  switchOff(): void {
    for (const instance of this.#instances.values()) instance.isOn = false
  }

  #make(name: string, devices: readonly TracedDevice[]): SimInstance {
    this.#made += 1
    const instance = {
      folderId: `${this.#made}`,
      devices: [...devices],
      ring: [],
      lost: 0,
      read: 0,
      isOn: true,
    }
    this.#instances.set(name, instance)
    return instance
  }

  /** The kernel as `process` has it. */
  as(process: SimProcess): TraceKernel {
    return {
      open: (devices, handler, { name = '' }) => {
        process.step()
        if (this.#instances.has(name)) throw new Error('EEXIST')
        return Promise.resolve(this.#trace(this.#make(name, devices), name, handler, process))
      },
      adopt: (_devices, handler, { name }, left) => {
        process.step()
        const instance = this.#instances.get(name)
        if (instance === undefined) throw new Error('the instance is gone')
        const { folderId, lost, read, isOn } = instance
        const isSame = folderId === left.folderId && lost === left.lost && read === left.records && isOn
        if (!isSame || filterOf(instance.devices) !== left.filter) throw new Error('it is not as it was left')
        return Promise.resolve(this.#trace(instance, name, handler, process))
      },
      remove: (name) => {
        process.step()
        this.#instances.delete(name)
        return Promise.resolve(true)
      },
    }
  }

  #trace(instance: SimInstance, name: string, handler: TraceHandler, process: SimProcess): Trace {
    let { lost, read: records } = instance
    const check = (): void => {
      if (instance.lost !== lost) handler.lost(`${instance.lost - lost} events were dropped`)
      else if (instance.read !== records) handler.lost('somebody else reads')
      lost = instance.lost
      records = instance.read
      if (instance.isOn) return
      handler.lost('it was switched off')
      instance.isOn = true
    }
    return {
      get devices() {
        return instance.devices
      },
      get state(): InstanceState {
        const filter = filterOf(instance.devices)
        return { folderId: instance.folderId, filter, discardFilter: '', lost, records }
      },
      setDevices: (devices) => {
        process.step()
        instance.devices = [...devices]
        return Promise.resolve()
      },
      pump: async (onTurn = () => undefined) => {
        await Promise.resolve()
        while (instance.ring.length > 0) {
          process.step()
          for (const event of instance.ring.splice(0, 3)) {
            instance.read += 1
            records += 1
            hand(event, handler)
          }
          onTurn?.()
          await Promise.resolve()
        }
      },
      check: () => {
        process.step()
        check()
        return Promise.resolve()
      },
      leave: () => Promise.resolve(),
      close: () => {
        process.step()
        this.#instances.delete(name)
        return Promise.resolve()
      },
    }
  }
}

/** As the parser does. */
function hand(event: SimEvent, handler: TraceHandler): void {
  const { discard, device, firstSector, sectorCount } = event
  const { major, minor } = device
  if (discard === 'queued') handler.discardQueued?.(major, minor, firstSector, sectorCount)
  else handler.changed(major, minor, firstSector, sectorCount)
  if (discard === 'completed') handler.discardEnded?.(major, minor, sectorCount)
}

function filterOf(devices: readonly DeviceNumber[]): string {
  return devices.map(({ major, minor }) => `${major}:${minor}`).join(' ')
}
