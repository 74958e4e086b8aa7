/**
 * What becomes of replication servers and machines when Rehost stops and starts. A machine may be what has replaced a source server, so
 * it is shut down in order and started again, as a host does with machines of its own.
 * @module
 */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorMessage } from '../../domain/errors.ts'
import { isId, type MachineId } from '../../domain/ids.ts'
import { hostContext, type HostSettings, type QemuContext } from './context.ts'
import { unlessMissing } from './files.ts'
import { layoutOf } from './layout.ts'
import { withLock } from './lock.ts'
import { startMachine } from './machine_start.ts'
import { guestPoweredOff, qemuStatus } from './machine_view.ts'
import { readMachine } from './machines.ts'
import { processState, stopProcess } from './processes.ts'
import { withMachine } from './qmp.ts'

const pollMs = 100
/** A guest that is still booting takes no notice of its power button; one that is shutting down takes none of further presses. */
const pressIntervalMs = 5000
/** How the reason begins for which a machine stands still until Rehost is started again. */
const rehostStopped = 'Rehost was stopped'

/** A folder whose process runs. */
interface Running {
  id: string
  folder: string
}

async function runningBelow(parent: string): Promise<Running[]> {
  const running: Running[] = []
  for (const id of (await unlessMissing(readdir(parent))) ?? []) {
    const folder = path.join(parent, id)
    if ((await processState(folder)).pid !== undefined) running.push({ id, folder })
  }
  return running
}

/** The machines of the cloud in `dataDir` that run. */
export async function runningMachines(dataDir: string): Promise<string[]> {
  return (await runningBelow(layoutOf(path.resolve(dataDir)).machines)).map(({ id }) => id)
}

/**
 * Ends every replication server of the cloud in `dataDir`. Workers start them again when they are needed.
 * @returns the identifiers of those that ran.
 */
export async function stopReplicationServers(dataDir: string): Promise<string[]> {
  const running = await runningBelow(layoutOf(path.resolve(dataDir)).replicationServers)
  await Promise.all(running.map(({ folder }) => stopProcess(folder, rehostStopped)))
  return running.map(({ id }) => id)
}

/** What was running and was ended. */
export interface Ended {
  id: string
  /** Why a guest lost its power instead of shutting down in order. */
  trouble?: string
}

/**
 * Ends every replication server and machine of the cloud in `dataDir`, for the supervisor when it ends. Guests are asked to shut down
 * and have `shutdownMs` for it; 0 cuts their power at once. Disks stay, machines are STOPPED until {@link startMachinesAgain}. Processes
 * that could start new ones must have ended before.
 * @returns what was running.
 */
export async function stopEverything(dataDir: string, shutdownMs = 0): Promise<Ended[]> {
  const machines = await runningBelow(layoutOf(path.resolve(dataDir)).machines)
  const [servers, ended] = await Promise.all([
    stopReplicationServers(dataDir),
    Promise.all(machines.map((machine) => endMachine(machine, shutdownMs))),
  ])
  return [...servers.map((id) => ({ id })), ...ended]
}

async function endMachine({ id, folder }: Running, shutdownMs: number): Promise<Ended> {
  const { reason, trouble } = await shutDown(folder, shutdownMs)
  await stopProcess(folder, trouble === undefined ? reason : `${reason}; ${trouble}`)
  return trouble === undefined ? { id } : { id, trouble }
}

/** Has the guest shut itself down as far as it does so in time: why its machine does not run from then on, and what went wrong. */
async function shutDown(folder: string, withinMs: number): Promise<{ reason: string; trouble?: string }> {
  const reason = rehostStopped
  try {
    const status = await qemuStatus(folder)
    if (status === 'shutdown') return { reason: guestPoweredOff }
    // A guest that stands still for another reason cannot react.
    if (status !== 'running' || withinMs === 0) return { reason }
    const deadline = performance.now() + withinMs
    let pressAt = -Infinity
    while ((await qemuStatus(folder)) === 'running') {
      const now = performance.now()
      if (now > deadline) return { reason, trouble: `its guest did not shut down in ${withinMs / 1000} s` }
      if (now >= pressAt) {
        pressAt = now + pressIntervalMs
        await withMachine(folder, (qmp) => qmp.execute('system_powerdown'))
      }
      await sleep(pollMs)
    }
    return { reason }
  } catch (error) {
    return { reason, trouble: `its guest could not be asked to shut down: ${errorMessage(error)}` }
  }
}

/** A machine that was to be started again. */
export interface StartedAgain {
  id: MachineId
  name: string
  /** Where its guest's ports answer from now on, where that has changed. */
  movedPorts: { guestPort: number; hostPort: number }[]
  /** Why it does not run. */
  trouble?: string
}

/**
 * Starts the machines of the cloud on this host that ran until Rehost or this host stopped, for the supervisor before anything else of
 * the service runs. They keep their ports where those are free. Machines that still run, that powered themselves off or that were never
 * to be started are left alone.
 */
export async function startMachinesAgain(settings: HostSettings): Promise<StartedAgain[]> {
  const context = hostContext(settings)
  const outcomes: StartedAgain[] = []
  for (const id of (await unlessMissing(readdir(context.layout.machines))) ?? []) {
    const outcome = isId('machine', id) ? await startAgain(context, id) : undefined
    if (outcome !== undefined) outcomes.push(outcome)
  }
  return outcomes
}

async function startAgain(context: QemuContext, id: MachineId): Promise<StartedAgain | undefined> {
  const folder = context.layout.machine(id)
  return await withLock(folder, async () => {
    const machine = await readMachine(context, id)
    // One whose launch is not finished is started by that.
    if (machine?.progress !== 'READY' || machine.accelerator === undefined) return undefined
    const { pid, stopReason } = await processState(folder)
    // Without a reason it was ended by nobody here: the host was restarted, or QEMU was killed.
    if (pid !== undefined || stopReason?.startsWith(rehostStopped) === false) return undefined
    const outcome = { id, name: machine.name, movedPorts: [] }
    try {
      const { ports } = await startMachine(context, id, machine)
      const isNew = (port: { hostPort: number }): boolean =>
        machine.ports.every(({ hostPort }) => hostPort !== port.hostPort)
      return { ...outcome, movedPorts: ports.filter(isNew) }
    } catch (error) {
      // One machine that cannot start must keep neither the others nor the service from starting.
      return { ...outcome, trouble: errorMessage(error) }
    }
  })
}
