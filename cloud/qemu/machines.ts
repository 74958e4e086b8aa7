/**
 * Machines: launched on overlays of an image, each alone in its own network, and known by their folder from then on.
 * @module
 */
import { copyFile, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { NotFoundError, PermanentError } from '../../domain/errors.ts'
import type { MachineId } from '../../domain/ids.ts'
import { idFromToken } from '../client_token.ts'
import { keptTags } from '../kept_tags.ts'
import type { CloudMachine, MachineSpec } from '../provider.ts'
import { refuteKvm } from './accelerator.ts'
import type { QemuContext } from './context.ts'
import { detachDisks } from './detach.ts'
import { findUefiFirmware, howToInstallUefi } from './firmware.ts'
import {
  flush,
  makeFolder,
  readJson,
  removeFolder,
  removeUnfinished,
  unfinishedName,
  writeJson,
} from './files.ts'
import { openImage } from './images.ts'
import { metadataNames } from './layout.ts'
import { withLock } from './lock.ts'
import { machineFiles } from './machine_command.ts'
import { boundResources, hostResources } from './machine_resources.ts'
import { startMachine } from './machine_start.ts'
import { machineView, qemuStatus } from './machine_view.ts'
import { machineSchema, type MachineMetadata } from './metadata.ts'
import { createOverlay } from './overlay.ts'
import { processState, stopProcess } from './processes.ts'
import { explainNoSpace, requireSpace } from './space.ts'

/** Most disks of one machine: twenty-seven slots of the PCI bus, eight to each. */
const maxDisks = 216

/** Launches a machine. @throws NotFoundError for the image, PermanentError when this host lacks UEFI firmware, NoSpaceError. */
export async function launchMachine(context: QemuContext, spec: MachineSpec): Promise<CloudMachine> {
  const id = idFromToken('machine', spec.clientToken)
  const folder = context.layout.machine(id)
  return await withLock(folder, async () => {
    let machine = await readMachine(context, id)
    if (machine?.progress !== 'READY') {
      machine = await prepare(context, id, spec)
      // A crash may have come between its start and the note of it.
      if (spec.started) machine = await startMachine(context, id, machine)
      machine = { ...machine, progress: 'READY' }
      await writeMachine(context, id, machine)
    }
    return await machineView(context, id, machine)
  })
}

/** The machine, or undefined when there is none. A machine that KVM let down is started again with TCG. */
export async function describeMachine(
  context: QemuContext,
  id: MachineId,
): Promise<CloudMachine | undefined> {
  let machine = await readMachine(context, id)
  if (machine?.accelerator === 'kvm' && (await qemuStatus(context.layout.machine(id))) === 'internal-error') {
    machine = await restartWithTcg(context, id)
  }
  return machine && (await machineView(context, id, machine))
}

/** The trial machine ran with KVM and this guest did not: from now on no machine of this host uses KVM. */
async function restartWithTcg(context: QemuContext, id: MachineId): Promise<MachineMetadata | undefined> {
  const folder = context.layout.machine(id)
  return await withLock(folder, async () => {
    const machine = await readMachine(context, id)
    if (machine?.accelerator !== 'kvm' || (await qemuStatus(folder)) !== 'internal-error') return machine
    await refuteKvm(context, `machine ${id} stopped in an internal error with it`)
    await stopProcess(folder, 'KVM failed; it is started again with TCG')
    return await startMachine(context, id, machine)
  })
}

/** Makes the machine's disks stand alone. @throws NotFoundError, Error when copying failed. */
export async function detachMachine(context: QemuContext, id: MachineId): Promise<void> {
  const folder = context.layout.machine(id)
  await withLock(folder, async () => {
    const machine = await readMachine(context, id)
    if (machine?.progress !== 'READY') throw new NotFoundError('machine', id)
    if (machine.imageId === undefined) return
    const running = (await processState(folder)).pid !== undefined
    const work = detachDisks(context, folder, machine.diskCount, running)
    await explainNoSpace(folder, `make the disks of machine ${id} stand alone`, work)
    const { imageId: _, ...alone } = machine
    await writeMachine(context, id, { ...alone, tags: keptTags(machine.tags) })
  })
}

/** Ends a machine and removes all that is its own. A no-op when it is gone. */
export async function terminateMachine(context: QemuContext, id: MachineId): Promise<void> {
  const folder = context.layout.machine(id)
  // Before the lock, so that work on the machine that holds it fails now and not after it has copied whole disks.
  await stopProcess(folder, 'It was terminated')
  await withLock(folder, async () => {
    await stopProcess(folder, 'It was terminated')
    await removeFolder(folder, metadataNames.machine)
  })
}

/** The metadata of a machine, also of a half-made one. */
export async function readMachine(context: QemuContext, id: MachineId): Promise<MachineMetadata | undefined> {
  return await readJson(path.join(context.layout.machine(id), metadataNames.machine), machineSchema)
}

async function writeMachine(context: QemuContext, id: MachineId, machine: MachineMetadata): Promise<void> {
  await writeJson(path.join(context.layout.machine(id), metadataNames.machine), machine)
}

async function prepare(context: QemuContext, id: MachineId, spec: MachineSpec): Promise<MachineMetadata> {
  const folder = context.layout.machine(id)
  const uefi = findUefiFirmware()
  if (spec.firmware === 'UEFI' && uefi === undefined) {
    throw new PermanentError(
      `Cannot launch machine ${spec.name}: it needs UEFI firmware, and this host has none; install it (${howToInstallUefi})`,
    )
  }
  const disks = await openImage(context, spec.imageId)
  if (disks.length > maxDisks) {
    throw new PermanentError(
      `Cannot launch machine ${spec.name}: it has ${disks.length} disks, ${maxDisks} are possible`,
    )
  }
  await makeFolder(folder)
  await requireSpace(folder, context.config.minFreeBytes, `launch machine ${spec.name}`)
  const known = await readMachine(context, id)
  const machine: MachineMetadata = known ?? {
    progress: 'CREATING',
    name: spec.name,
    imageId: spec.imageId,
    diskCount: disks.length,
    ...boundResources(spec, hostResources()),
    firmware: spec.firmware,
    started: spec.started,
    ...(spec.takesCommands === true ? { takesCommands: true } : {}),
    ports: spec.reachablePorts.map((guestPort) => ({ guestPort, hostPort: 0 })),
    tags: spec.tags,
  }
  await writeMachine(context, id, machine)
  for (const [index, disk] of disks.entries()) {
    await createOverlay(context, folder, index, disk.path, disk.format)
  }
  if (spec.firmware === 'UEFI' && uefi !== undefined) await copyVariables(folder, uefi.variables)
  return machine
}

async function copyVariables(folder: string, template: string): Promise<void> {
  if ((await readdir(folder)).includes(machineFiles.uefiVariables)) return
  const file = path.join(folder, machineFiles.uefiVariables)
  await removeUnfinished(file)
  const unfinished = unfinishedName(file)
  await copyFile(template, unfinished)
  await flush(unfinished)
  await rename(unfinished, file)
}
