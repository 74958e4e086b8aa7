/**
 * The engine on the machine that the agent runs on.
 * @module
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { DiskWatch } from './inventory/disk_watch.ts'
import type { RunContext } from './run_context.ts'
import type { Identity } from './state_files.ts'
import { planFreeze } from './consistency/freeze_plan.ts'
import { findHooks } from './consistency/hooks.ts'
import { openDevice } from './disk/device_source.ts'
import { DiskLoad } from './disk/disk_load.ts'
import { HashThreads } from './disk/hash_threads.ts'
import { layout } from './install/layout.ts'
import { readBootId } from './inventory/machine.ts'
import { machineFiles } from './inventory/system_files.ts'
import { BootBuffer } from './reboot/boot_buffer.ts'
import { BootLoader } from './reboot/boot_loader.ts'
import { readPresentDisks } from './reboot/present_disks.ts'
import { RebootKeeper } from './reboot/reboot_keeper.ts'
import { SealFile } from './reboot/seal_file.ts'
import { removePlan, writePlan } from './reboot/seal_plan.ts'
import { isInstalled } from './run_command.ts'
import { cipherTrial, fasterSuite } from './sync/cipher_choice.ts'
import { Engine } from './sync/engine.ts'
import { PieceRoom } from './sync/piece_room.ts'
import { chooseTracker, prepareTracing } from './tracking/choose.ts'
import { TraceHub } from './tracking/trace_hub.ts'
import { isInMemory, runFolder } from './tracking/run_folder.ts'
import { traceInstanceName, TrackFolder, trackKey } from './tracking/track_folder.ts'
import { agentVersion } from './version.ts'

/** Makes the engine of a run that the gateway has numbered. Tracking that an earlier run left goes on from here. */
export async function makeEngine(
  context: RunContext,
  input: {
    generation: number
    disks: DiskWatch
    identity: () => Identity
    onChange: () => void
  },
): Promise<Engine> {
  const { clock, log, run, files, config, host } = context
  const key = trackKey(files.directory)
  const bootId = await readBootId(host.files)
  const folder = new TrackFolder({
    path: join(runFolder, key),
    instanceName: traceInstanceName(key),
    bootId,
    generation: input.generation,
    newRingId: randomUUID,
  })
  const warn = (message: string): void => log.warning(message)
  const isKept = await isInMemory(runFolder)
  if (!isKept)
    warn(`The disks are compared after a restart of the agent, because ${runFolder} is not in memory`)
  const boot =
    isKept && config.isTracingFromBoot ? rebootKeeper(context, input.generation, bootId) : undefined
  const hub = new TraceHub(clock, isKept ? { folder, warn, ...(boot === undefined ? {} : { boot }) } : {})
  const tracingRefusal = await prepareTracing(run, config.isRoot)
  // First: nobody reads the rings that a run before has left, until this does. Where there are none it claims what was sealed, which begins.
  if (tracingRefusal === undefined) await hub.resume()
  await boot?.begin()
  await boot?.release()
  const canFreeze =
    config.isRoot && (await isInstalled(run, 'fsfreeze')) && (await isInstalled(run, 'timeout'))
  const room = new PieceRoom()
  return new Engine({
    clock,
    log,
    random: context.random,
    run,
    sourceServerId: input.identity().sourceServerId,
    agentVersion,
    generation: input.generation,
    identity: input.identity,
    openSource: (deviceName) => openDevice(deviceName, clock),
    chooseTracker: async (source, volume) => {
      const facts = (await host.files.facts(source.deviceName)) ?? { kind: 'other', sizeBytes: 0 }
      return chooseTracker({ source, facts, tracingRefusal, hub, room, volume, clock })
    },
    isOffered: (deviceName) => input.disks.isOffered(deviceName),
    ...(tracingRefusal === undefined ? { kept: hub } : {}),
    planFreeze: async (deviceNames) =>
      canFreeze ? planFreeze(machineFiles, await kernelNames(deviceNames)) : undefined,
    findHooks: () => findHooks(layout.hooksFolder),
    load: new DiskLoad({
      readStatistics: () => context.readText('/proc/diskstats'),
      deviceNumberOf: async (deviceName) => (await machineFiles.facts(deviceName))?.deviceNumber,
    }),
    memory: await files.openMemory(warn),
    onChange: input.onChange,
    hashThreads: new HashThreads({ count: config.hashThreads, start: context.startHashThread, clock, log }),
    isCompressionOff: config.isCompressionOff,
    cipherSuite: fasterSuite(cipherTrial(() => clock.monotonicMs())),
  })
}

/** Carries tracking through a clean reboot of this machine. */
function rebootKeeper({ files, run, log }: RunContext, generation: number, bootId: string): RebootKeeper {
  const key = trackKey(files.directory)
  // What an earlier run noted is of a file that is about to be written anew.
  removePlan(runFolder, key)
  const hex = (): string => randomBytes(16).toString('hex')
  return new RebootKeeper({
    bootId,
    generation,
    seal: new SealFile(files.directory, machineFiles, run, hex),
    loader: new BootLoader(machineFiles, run),
    buffer: new BootBuffer(),
    disks: () => readPresentDisks(machineFiles),
    newToken: hex,
    plan: (plan) => writePlan(runFolder, key, plan),
    warn: (message) => log.warning(message),
  })
}

/** `sda` for `/dev/sda`, `dm-0` for `/dev/mapper/mpatha`; nothing for a file. */
async function kernelNames(deviceNames: readonly string[]): Promise<Set<string>> {
  const names = new Set<string>()
  for (const deviceName of deviceNames) {
    const facts = await machineFiles.facts(deviceName)
    const folder =
      facts?.deviceNumber === undefined
        ? undefined
        : await machineFiles.realPath(`/sys/dev/block/${facts.deviceNumber}`)
    if (folder !== undefined) names.add(folder.slice(folder.lastIndexOf('/') + 1))
  }
  return names
}
