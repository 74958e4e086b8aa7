/**
 * The program that runs last of all when the machine goes down: systemd starts it after all programs have ended and all file systems are unmounted or
 * read-only.
 * @module
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { SystemFiles } from '../inventory/system_files.ts'
import type { CommandRunner } from '../run_command.ts'
import { PermanentError } from '../../domain/errors.ts'
import { lockAgent } from '../agent_lock.ts'
import { systemClock } from '../clock.ts'
import { readBootId } from '../inventory/machine.ts'
import { runFolder } from '../tracking/run_folder.ts'
import { Subscriptions } from '../tracking/subscriptions.ts'
import { TraceInstance } from '../tracking/trace_instance.ts'
import { leftAtShutdown, traceInstanceName, trackKey } from '../tracking/track_folder.ts'
import { BootLoader, loaderFileOf } from './boot_loader.ts'
import { deviceFile } from './file_places.ts'
import { readPresentDisks } from './present_disks.ts'
import { stillWriting } from './quiet_machine.ts'
import { RawPages } from './seal_file.ts'
import { readPlan } from './seal_plan.ts'
import { seal } from './sealer.ts'

/** Ways to go down after which the boot loader starts the next kernel. */
const ways = new Set(['reboot', 'poweroff', 'halt'])

/**
 * Seals how the copies stand. Answers how many disks.
 * @param way how the machine goes down, as systemd says it.
 * @throws Error with why nothing can be gone on from after the reboot.
 */
export async function sealMachine(input: {
  way: string
  stateDirectory: string
  files: SystemFiles
  run: CommandRunner
}): Promise<number> {
  const { way, stateDirectory, files, run } = input
  if (!ways.has(way))
    throw new PermanentError(`Cannot seal at "${way}": no boot loader starts the next kernel then`)
  const lock = await lockAgent(stateDirectory)
  try {
    return await sealLocked(stateDirectory, files, run)
  } finally {
    await lock.release()
  }
}

async function sealLocked(stateDirectory: string, files: SystemFiles, run: CommandRunner): Promise<number> {
  await run('sync', [])
  const writer = await stillWriting(files, run)
  if (writer !== undefined) throw new PermanentError(`Cannot seal: ${writer}`)
  const key = trackKey(stateDirectory)
  const plan = readPlan(runFolder, key)
  const left = leftAtShutdown(join(runFolder, key))
  if (plan.bootId !== (await readBootId(files)) || left.ring.bootId !== plan.bootId)
    throw new PermanentError('Cannot seal: what was noted is of another start of this machine')
  const devicePath = await deviceFile(files, plan.places.device)
  if (devicePath === undefined) throw new PermanentError(`Cannot seal: device ${plan.places.device} is gone`)
  const disks = await readPresentDisks(files)
  // Its file system is read-only: there it stays until GRUB writes it.
  const loaderFile = loaderFileOf(await new BootLoader(files, run).place(), disks)
  // What has been written is on the disks, not in them.
  for (const { major, minor } of left.ring.devices) await flush(await deviceFile(files, `${major}:${minor}`))
  const subscriptions = new Subscriptions(
    () => systemClock.monotonicMs(),
    (work) => work(),
  )
  subscriptions.restore(left.files, left.ring.devices)
  const trace = await TraceInstance.adopt(
    left.ring.devices,
    subscriptions,
    { name: traceInstanceName(key) },
    left.ring,
  )
  const raw = new RawPages(devicePath, plan.places)
  try {
    const record = await seal({
      plan,
      loaderFile,
      generation: left.generation,
      trace,
      subscriptions,
      files: left.files,
      disks,
      write: (pages) => raw.write(pages),
      spoil: (pages) => raw.spoil(pages),
    })
    return record.disks.length
  } finally {
    await trace.leave()
  }
}

async function flush(path: string | undefined): Promise<void> {
  if (path === undefined) return
  const handle = await open(path, 'r')
  await handle.sync().finally(() => handle.close())
}
