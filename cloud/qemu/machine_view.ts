/**
 * What a machine is doing: from its process and from QEMU, never from what was once written down.
 * @module
 */
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { MachineId } from '../../domain/ids.ts'
import type { CloudMachine } from '../provider.ts'
import { describeAccelerator } from './accelerator.ts'
import type { QemuContext } from './context.ts'
import { readTail, unfinishedName } from './files.ts'
import { machineFiles } from './machine_command.ts'
import type { MachineMetadata } from './metadata.ts'
import { endsWithin, processState } from './processes.ts'
import { withMachine } from './qmp.ts'
import { humanBytes } from './space.ts'

type Condition = Pick<CloudMachine, 'state' | 'stateReason'>

const statusSchema = z.object({ status: z.string() })
const logTailBytes = 2000
const endingMs = 2000
/** Why a machine stands still that nobody stopped. */
export const guestPoweredOff = 'The guest powered itself off'

/** The machine as callers see it. */
export async function machineView(
  context: QemuContext,
  id: MachineId,
  machine: MachineMetadata,
): Promise<CloudMachine> {
  const condition = await conditionOf(context, id, machine)
  const endpoints = machine.ports
    .filter(({ hostPort }) => hostPort > 0)
    .map(({ guestPort, hostPort }) => ({ guestPort, host: '127.0.0.1', port: hostPort }))
  return { machineId: id, ...condition, endpoints, description: descriptionOf(machine) }
}

/** How it runs, for the operator. */
function descriptionOf(machine: MachineMetadata): string {
  const { accelerator, acceleratorReason: reason = '', cpuCount, ramBytes, reduced } = machine
  const how = accelerator === undefined ? 'not started' : describeAccelerator({ kind: accelerator, reason })
  const cpus = cpuCount === 1 ? '1 CPU' : `${cpuCount} CPUs`
  return `qemu, ${how}, ${cpus}, ${humanBytes(ramBytes)} of RAM${reduced === undefined ? '' : ` (${reduced})`}`
}

async function conditionOf(
  context: QemuContext,
  id: MachineId,
  machine: MachineMetadata,
): Promise<Condition> {
  if (machine.progress === 'CREATING' && machine.accelerator === undefined) return { state: 'PENDING' }
  const folder = context.layout.machine(id)
  const status = await qemuStatus(folder)
  if (status !== undefined) return conditionOfStatus(status, folder)
  const { stopReason } = await processState(folder)
  if (stopReason !== undefined) return { state: 'STOPPED', stateReason: stopReason }
  if (machine.accelerator === undefined) {
    return { state: 'STOPPED', stateReason: 'It was not to be started' }
  }
  if (machine.progress === 'CREATING') return { state: 'PENDING' }
  const words = (await readTail(path.join(folder, 'log'), logTailBytes)).trim()
  const how = words === '' ? 'without a word: it was killed or the host was restarted' : `with: ${words}`
  return { state: 'FAILED', stateReason: `QEMU ended ${how}` }
}

/** What the QEMU of `folder` says of its guest; undefined when it does not run. @throws Error when it runs and does not answer. */
export async function qemuStatus(folder: string): Promise<string | undefined> {
  if ((await processState(folder)).pid === undefined) return undefined
  try {
    return statusSchema.parse(await withMachine(folder, (qmp) => qmp.execute('query-status'))).status
  } catch (error) {
    // A process that is ending closes its socket first and is gone a moment later: then its silence is no trouble.
    if (await endsWithin(folder, endingMs)) return undefined
    throw error
  }
}

function conditionOfStatus(status: string, folder: string): Condition {
  switch (status) {
    case 'running':
      return { state: 'RUNNING' }
    case 'prelaunch':
    case 'inmigrate':
    case 'restore-vm':
      return { state: 'PENDING' }
    case 'shutdown':
      return { state: 'STOPPED', stateReason: guestPoweredOff }
    case 'io-error':
      return {
        state: 'FAILED',
        stateReason: `A disk of the machine cannot be written; look at the free space of ${folder}`,
      }
    case 'internal-error':
      return { state: 'FAILED', stateReason: 'QEMU stopped in an internal error' }
    default:
      return { state: 'FAILED', stateReason: `QEMU reports the state ${status}` }
  }
}

/** The end of the serial log. Empty when nothing was printed. */
export async function consoleText(context: QemuContext, id: MachineId, maxBytes: number): Promise<string> {
  return await readTail(path.join(context.layout.machine(id), machineFiles.serialLog), maxBytes)
}

/** PNG of the screen; undefined when QEMU does not run. */
export async function screenshot(context: QemuContext, id: MachineId): Promise<Uint8Array | undefined> {
  const folder = context.layout.machine(id)
  if ((await processState(folder)).pid === undefined) return undefined
  const picture = unfinishedName(path.join(folder, 'screen.png'))
  try {
    const args = { filename: picture, format: 'png' }
    await withMachine(folder, (qmp) => qmp.execute('screendump', args))
    return await readFile(picture)
  } finally {
    await rm(picture, { force: true })
  }
}
