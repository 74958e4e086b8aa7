/**
 * Starting a machine: with KVM while KVM works, on ports that are free, and certain only when QEMU answers.
 * @module
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MachineId } from '../../domain/ids.ts'
import { chooseAccelerator, refuteKvm, type Accelerator } from './accelerator.ts'
import type { QemuContext } from './context.ts'
import { readTail, writeJson } from './files.ts'
import { findUefiFirmware } from './firmware.ts'
import { metadataNames } from './layout.ts'
import { machineArguments } from './machine_command.ts'
import type { MachineMetadata } from './metadata.ts'
import { freePorts } from './ports.ts'
import { processState, startDetached, stopProcess, type DetachedProgram } from './processes.ts'
import { qmpSocketName, withMachine } from './qmp.ts'

/** Tries for free ports, which another program may take in the moment before QEMU does, and for an accelerator. */
const maxTries = 4
const answerDeadlineMs = 60_000
const pollMs = 20

/**
 * Starts a machine; its lock must be held. One that runs already, as whoever began its launch has started it, is only asked whether it
 * answers. Returns its metadata, which is saved before each try, so that ports and accelerator are known even if this process ends at once.
 * @throws Error with QEMU's own words when it did not start.
 */
export async function startMachine(
  context: QemuContext,
  id: MachineId,
  machine: MachineMetadata,
): Promise<MachineMetadata> {
  const folder = context.layout.machine(id)
  let accelerator: Accelerator | undefined
  let trouble = ''
  let plan = machine
  for (let attempt = 1; attempt <= maxTries; attempt += 1) {
    const isUnderWay = (await processState(folder)).pid !== undefined
    if (!isUnderWay) {
      accelerator ??= await chooseAccelerator(context)
      plan = await planStart(machine, accelerator)
      await writeJson(path.join(folder, metadataNames.machine), plan)
      for (const name of ['log', qmpSocketName]) await rm(path.join(folder, name), { force: true })
      await startDetached(await program(context, folder, plan, accelerator), context.tools)
    }
    const failure = await answers(folder).catch(async (error: unknown) => {
      // Nobody uses it yet: the next try starts it anew. One that was launched may be slow, and runs on.
      if (machine.progress !== 'READY') await stopProcess(folder, 'It did not answer')
      throw error
    })
    if (failure === undefined) return plan
    trouble = failure
    const { stopReason } = await processState(folder)
    if (stopReason !== undefined) break
    // What ended with its worker says nothing about KVM.
    if (isUnderWay || failure.includes('host forwarding')) continue
    if (plan.accelerator === 'tcg' || failure.includes('terminating on signal')) break
    accelerator = await refuteKvm(context, `QEMU ended with it: ${failure}`)
  }
  throw new Error(`Cannot start machine ${id} (${machine.name}): ${trouble}`)
}

async function planStart(machine: MachineMetadata, accelerator: Accelerator): Promise<MachineMetadata> {
  // Whoever was told where the guest's ports answer finds them there after a restart too.
  const wanted = machine.ports.map(({ hostPort }) => hostPort)
  const hostPorts = await freePorts('127.0.0.1', wanted)
  const ports = machine.ports.map(({ guestPort }, index) => ({ guestPort, hostPort: hostPorts[index] ?? 0 }))
  return { ...machine, ports, accelerator: accelerator.kind, acceleratorReason: accelerator.reason }
}

/** What to start in the machine's folder. */
async function program(
  context: QemuContext,
  folder: string,
  machine: MachineMetadata,
  accelerator: Accelerator,
): Promise<DetachedProgram> {
  const qemu = await context.tools.find('qemu-system-x86_64')
  const uefi = machine.firmware === 'UEFI' ? findUefiFirmware() : undefined
  const args = machineArguments({ machine, accelerator, ...(uefi === undefined ? {} : { uefi }) })
  return { folder, command: [qemu, ...args], environment: context.tools.environment }
}

/** Waits until QEMU takes commands. Returns undefined then, or the words with which it ended. */
async function answers(folder: string): Promise<string | undefined> {
  const deadline = performance.now() + answerDeadlineMs
  for (;;) {
    try {
      await withMachine(folder, (qmp) => qmp.execute('query-status'))
      return undefined
    } catch (error) {
      // Until its socket is there, and when it ends in mid-conversation, only the process tells what is going on.
      const isUnderWay = (await processState(folder)).pid !== undefined
      if (!isUnderWay) {
        return (await readTail(path.join(folder, 'log'), 2000)).trim() || 'QEMU ended without a word'
      }
      if (performance.now() > deadline) {
        throw new Error(`Cannot reach the QEMU of ${folder} in ${answerDeadlineMs / 1000} s`, {
          cause: error,
        })
      }
      await sleep(pollMs)
    }
  }
}
