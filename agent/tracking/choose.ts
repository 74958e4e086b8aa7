/**
 * Chooses how a disk is tracked, and says why.
 * @module
 */
import { open } from 'node:fs/promises'
import { constants } from 'node:fs'
import type { Clock } from '../clock.ts'
import type { BlockSource } from '../disk/block_source.ts'
import type { PieceRoom } from '../sync/piece_room.ts'
import type { PathFacts, SystemFiles } from '../inventory/system_files.ts'
import type { CommandRunner } from '../run_command.ts'
import type { TrackedVolume } from '../sync/disk_set.ts'
import type { TraceHub } from './trace_hub.ts'
import type { TraceHandler } from './trace_parser.ts'
import type { DeviceNumber } from './trace.ts'
import type { Tracker } from './tracker.ts'
import { errorMessage } from '../../domain/errors.ts'
import { AlignedPool } from '../disk/aligned_pool.ts'
import { machineFiles } from '../inventory/system_files.ts'
import { diskIdentity } from './disk_identity.ts'
import { ScanTracker } from './scan_tracker.ts'
import { removeStaleInstances, tracingFolder } from './instance_names.ts'
import { parseDeviceNumber } from './trace.ts'
import { TraceInstance } from './trace_instance.ts'
import { TracefsTracker } from './tracefs_tracker.ts'

/** How long an event of the self-test may take. */
const selfTestMs = 2000

/**
 * Makes the kernel's tracing reachable: mounts it where it is not, removes what dead agents left. Run once, before trackers are chosen.
 *
 * @returns undefined when tracing can be used, else why not.
 */
export async function prepareTracing(run: CommandRunner, isRoot: boolean): Promise<string | undefined> {
  if (!isRoot) return 'the agent does not run as root'
  try {
    if ((await machineFiles.list(`${tracingFolder}/instances`)).length === 0 && !(await isMounted())) {
      await run('mount', ['-t', 'tracefs', 'none', tracingFolder])
    }
    if ((await machineFiles.realPath(`${tracingFolder}/events/block/block_rq_complete`)) === undefined) {
      return 'this kernel has no block trace events'
    }
    await removeStaleInstances()
    return undefined
  } catch (error) {
    return `the kernel refuses tracing (${errorMessage(error)})`
  }
}

async function isMounted(): Promise<boolean> {
  return (await machineFiles.realPath(`${tracingFolder}/instances`)) !== undefined
}

/** Whether a request on `device` becomes an event that can be read: reads 4 KiB of it and looks. Throws when the kernel refuses. */
async function seesRequests(deviceName: string, device: DeviceNumber, clock: Clock): Promise<boolean> {
  const seen = new Set<string>()
  const handler: TraceHandler = {
    changed: (major, minor) => void seen.add(`${major}:${minor}`),
    lost: () => undefined,
  }
  const instance = await TraceInstance.open([device], handler, { bufferKb: 256, withReads: true })
  const handle = await open(deviceName, constants.O_RDONLY | constants.O_DIRECT)
  try {
    const slot = await new AlignedPool(1).acquire()
    const begin = clock.monotonicMs()
    await handle.read(slot.bytes, 0, 4096, 0)
    const own = `${device.major}:${device.minor}`
    for (;;) {
      await instance.pump()
      if (seen.has(own) || clock.monotonicMs() - begin >= selfTestMs) return seen.has(own)
      await clock.sleep(20)
    }
  } finally {
    await handle.close()
    await instance.close()
  }
}

/** Whether the kernel makes one request of discards that are not neighbours; kernels before 4.11, which never do, don't say. */
export async function mergesDiscards(files: SystemFiles, deviceNumber: string): Promise<boolean> {
  const queue = await files.realPath(`/sys/dev/block/${deviceNumber}/queue`)
  if (queue === undefined) return false
  const mostRanges = Number((await files.readText(`${queue}/max_discard_segments`)) ?? '1')
  return mostRanges > 1 && (await files.readText(`${queue}/discard_max_hw_bytes`)) !== '0'
}

/** What {@link chooseTracker} decides by. */
export interface TrackerChoice {
  source: BlockSource
  facts: PathFacts
  /** Why tracing cannot be used at all, as {@link prepareTracing} found. */
  tracingRefusal: string | undefined
  hub: TraceHub
  /** For changes known in pieces, of all disks. */
  room: PieceRoom
  /** The volume that it is copied to. */
  volume: TrackedVolume
  clock: Clock
}

/** `tracefs` for a block device whose requests the kernel shows, `scan` for everything else. */
export async function chooseTracker(choice: TrackerChoice): Promise<Tracker> {
  const { source, facts, tracingRefusal, hub, room, volume, clock } = choice
  const { deviceName } = source
  if (facts.kind !== 'block' || facts.deviceNumber === undefined) {
    return new ScanTracker(
      'It is a file, whose changes the kernel does not show; it is read and compared again and again',
    )
  }
  const scan = (why: string) => new ScanTracker(`It is read and compared again and again, because ${why}`)
  if (tracingRefusal !== undefined) return scan(tracingRefusal)
  const number = parseDeviceNumber(facts.deviceNumber)
  try {
    if (!(await seesRequests(deviceName, number, clock)))
      return scan('the kernel shows no events of this device')
  } catch (error) {
    return scan(`the kernel refuses tracing (${errorMessage(error)})`)
  }
  const reason = 'The kernel shows every completed write of this device; no kernel module is needed'
  const diskId = await diskIdentity(machineFiles, facts.deviceNumber, deviceName)
  const device = { ...number, mergesDiscards: await mergesDiscards(machineFiles, facts.deviceNumber) }
  const { volumeId, sizeBytes } = volume
  const disk = diskId === undefined ? undefined : { diskId, volumeId, sizeBytes }
  // Only what the volume has room for counts: the disk may be larger by now, and what lies behind is compared once the volume has grown.
  return new TracefsTracker({ hub, device, sizeBytes, reason, room, disk })
}
