/**
 * Machines of the memory cloud: copies of an image's disks, and what a guest made of them at once.
 * @module
 */
import { rm } from 'node:fs/promises'
import { NotFoundError } from '../../domain/errors.ts'
import type { MachineId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import type { CloudMachine, MachineSpec } from '../provider.ts'
import type { MemoryMachine } from './cloud.ts'
import { copyDisk, fileFor, type MemoryContext } from './context.ts'
import { openImage } from './images.ts'

/** A port on which nothing answers: reserved, and never bound by this provider. */
const deadPort = 1

/** Launches a machine and lets its guest boot. @throws NotFoundError for the image. */
export async function launchMachine(context: MemoryContext, spec: MachineSpec): Promise<CloudMachine> {
  const { cloud } = context
  const id = idFromToken('machine', spec.clientToken)
  const found = cloud.machines.get(id)
  if (found !== undefined) return machineView(found)
  const diskPaths: string[] = []
  for (const [index, disk] of openImage(context, spec.imageId).entries()) {
    const file = await fileFor(context, `${id}-${index}.raw`)
    await copyDisk(disk.path, file)
    diskPaths.push(file)
  }
  const boot = spec.started ? await cloud.guest({ diskPaths }) : { consoleText: '' }
  const machine: MemoryMachine = {
    machineId: id,
    state: spec.started ? 'RUNNING' : 'STOPPED',
    ...(spec.started ? {} : { stateReason: 'It was not to be started' }),
    endpoints: spec.reachablePorts.map((guestPort) => ({
      guestPort,
      ...(boot.ports?.[guestPort] ?? { host: '127.0.0.1', port: deadPort }),
    })),
    description: 'memory',
    diskPaths,
    consoleText: boot.consoleText,
    imageId: spec.imageId,
    takesCommands: spec.takesCommands === true,
    commands: new Map(),
    tags: spec.tags,
  }
  cloud.machines.set(id, machine)
  return machineView(machine)
}

/** The record of a machine. @throws NotFoundError. */
export function findMachine({ cloud }: MemoryContext, id: MachineId): MemoryMachine {
  const machine = cloud.machines.get(id)
  if (machine === undefined) throw new NotFoundError('machine', id)
  return machine
}

/** The end of what the guest printed. @throws NotFoundError. */
export function consoleText(context: MemoryContext, id: MachineId, maxBytes: number): string {
  const text = Buffer.from(findMachine(context, id).consoleText)
  return text.subarray(Math.max(0, text.length - maxBytes)).toString()
}

/** Removes a machine and its disks. */
export async function terminateMachine({ cloud }: MemoryContext, id: MachineId): Promise<void> {
  const machine = cloud.machines.get(id)
  if (machine === undefined) return
  for (const diskPath of machine.diskPaths) await rm(diskPath, { force: true })
  cloud.machines.delete(id)
}

/** The machine as callers see it. */
export function machineView(machine: MemoryMachine): CloudMachine {
  const { machineId, state, stateReason, endpoints, description } = machine
  return { machineId, state, ...(stateReason === undefined ? {} : { stateReason }), endpoints, description }
}
