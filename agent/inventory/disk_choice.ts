/**
 * Which disks are replicated: all local ones, or those that the operator names.
 * @module
 */
import type { SourceDisk } from '../../domain/source_server.ts'
import type { SystemFiles } from './system_files.ts'
import type { FoundDisk } from './disks.ts'
import { InvalidInputError } from '../../domain/errors.ts'
import { sectorSizeBytes } from '../../domain/units.ts'
import { deviceIdentityOf } from './disk_identity.ts'

/** Disks one server may have: the wire numbers them 0 to 59. */
export const maxReplicatedDisks = 60

/** A named device that the list of local disks does not have: a file, a loop device, a partition. */
async function namedExtra(
  files: SystemFiles,
  deviceName: string,
  known: readonly FoundDisk[],
): Promise<SourceDisk> {
  const facts = await files.facts(deviceName)
  if (facts === undefined) {
    const there = known.filter((disk) => disk.excludedBecause === undefined).map((disk) => disk.deviceName)
    const list = there.length === 0 ? 'there are no local disks' : `local disks: ${there.join(', ')}`
    throw new InvalidInputError(
      'devices',
      `Cannot find ${deviceName}, named in --devices; check the name (${list})`,
    )
  }
  if (facts.kind === 'other') {
    throw new InvalidInputError(
      'devices',
      `Cannot replicate ${deviceName}: it is neither a block device nor a file`,
    )
  }
  if (facts.sizeBytes < sectorSizeBytes) {
    throw new InvalidInputError(
      'devices',
      `Cannot replicate ${deviceName}: its size is ${facts.sizeBytes} bytes`,
    )
  }
  if (facts.sizeBytes % sectorSizeBytes !== 0) {
    throw new InvalidInputError(
      'devices',
      `Cannot replicate ${deviceName}: its size of ${facts.sizeBytes} bytes is not a multiple of ${sectorSizeBytes}; ` +
        `extend it with truncate --size=%${sectorSizeBytes} ${deviceName}`,
    )
  }
  const { deviceNumber, sizeBytes } = facts
  const identity =
    deviceNumber === undefined
      ? { stableId: deviceName }
      : await deviceIdentityOf(files, deviceNumber, deviceName)
  return { deviceName, sizeBytes, ...identity, isBootDisk: false }
}

/** Without `--devices`: the local disks, the boot disk first when there are too many. */
function chooseLocal(found: readonly FoundDisk[]): SourceDisk[] {
  const taken = found.filter((disk) => disk.excludedBecause === undefined)
  const first = [...taken.filter((disk) => disk.isBootDisk), ...taken.filter((disk) => !disk.isBootDisk)]
  const kept = new Set(first.slice(0, maxReplicatedDisks).map((disk) => disk.kernelName))
  return found.map(({ kernelName, ...disk }) =>
    disk.excludedBecause !== undefined || kept.has(kernelName)
      ? disk
      : {
          ...disk,
          excludedBecause: `The machine has more than ${maxReplicatedDisks} disks; name the ones to take with --devices`,
        },
  )
}

/**
 * The disks of the inventory, marked with what is taken. Named devices are taken whatever they are (files and loop devices too); the others then
 * are left out.
 *
 * @throws InvalidInputError when a named device does not exist or cannot be replicated, or too many are named.
 */
export async function chooseDisks(
  files: SystemFiles,
  found: readonly FoundDisk[],
  options: { devices?: readonly string[]; skipMissing?: boolean },
): Promise<SourceDisk[]> {
  const named = options.devices
  if (named === undefined) return chooseLocal(found)
  if (named.length === 0 || named.length > maxReplicatedDisks) {
    throw new InvalidInputError(
      'devices',
      `Cannot take ${named.length} devices: name 1 to ${maxReplicatedDisks} in --devices`,
    )
  }
  const wanted = new Map<string, string>()
  for (const name of named) wanted.set((await files.realPath(name)) ?? name, name)
  const chosen: SourceDisk[] = []
  for (const { kernelName: _, ...disk } of found) {
    const own = (await files.realPath(disk.deviceName)) ?? disk.deviceName
    const { excludedBecause, ...plain } = disk
    if (wanted.delete(own)) chosen.push(plain)
    else chosen.push({ ...plain, excludedBecause: excludedBecause ?? 'It is not named in --devices' })
  }
  for (const name of wanted.values()) {
    if (options.skipMissing === true && (await files.facts(name)) === undefined) continue
    chosen.push(await namedExtra(files, name, found))
  }
  // A named disk image is the whole machine as far as anyone can tell: the first one boots.
  if (!chosen.some((disk) => disk.isBootDisk && disk.excludedBecause === undefined)) {
    const first = chosen.find((disk) => disk.excludedBecause === undefined)
    return chosen.map((disk) => ({ ...disk, isBootDisk: disk === first }))
  }
  return chosen
}
