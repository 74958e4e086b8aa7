/**
 * The inventory: what the agent tells of the machine it runs on.
 * @module
 */
import type { SourceDisk, SourceProperties } from '../domain/source_server.ts'
import type { InterfaceAddresses } from './inventory/network.ts'
import type { SystemFiles } from './inventory/system_files.ts'
import { findBootDisk, readMounts } from './inventory/block_topology.ts'
import { chooseDisks } from './inventory/disk_choice.ts'
import { readDisks } from './inventory/disks.ts'
import { parseCpus, parseMemoryBytes, readFirmware, readIdentity, readOs } from './inventory/machine.ts'
import { readNetworkInterfaces } from './inventory/network.ts'
import { readWrites } from './inventory/writes.ts'

/** The machine, as far as an inventory asks. */
export interface Host {
  files: SystemFiles
  hostname(): string
  addresses(): InterfaceAddresses
  nowMs(): number
}

/** What the operator asked for. */
export interface InventoryOptions {
  /** Devices to replicate; undefined for all local disks. */
  devices?: readonly string[]
  /** Leave out named devices that do not exist, instead of refusing. */
  skipMissing?: boolean
}

/**
 * The machine's disks, those that are left out too.
 *
 * @throws InvalidInputError when a named device does not exist or cannot be replicated.
 */
export async function takeDisks(files: SystemFiles, options: InventoryOptions = {}): Promise<SourceDisk[]> {
  const bootDisk = await findBootDisk(files, await readMounts(files))
  return chooseDisks(files, await readDisks(files, bootDisk), options)
}

/**
 * Takes the inventory. Reads files only, asks nothing on the network, and needs no other program.
 *
 * @throws InvalidInputError when a named device does not exist or cannot be replicated.
 */
export async function takeInventory(host: Host, options: InventoryOptions = {}): Promise<SourceProperties> {
  const { files } = host
  const cpus = parseCpus((await files.readText('/proc/cpuinfo')) ?? '')
  const disks = await takeDisks(files, options)
  const writes = await readWrites(files, disks)
  return {
    lastUpdatedAt: new Date(host.nowMs()).toISOString(),
    identificationHints: await readIdentity(files, host.hostname()),
    os: await readOs(files),
    cpus: cpus.length > 0 ? cpus : [{ cores: 1, modelName: 'Unknown processor' }],
    ramBytes: parseMemoryBytes((await files.readText('/proc/meminfo')) ?? ''),
    firmware: await readFirmware(files),
    networkInterfaces: await readNetworkInterfaces(files, host.addresses()),
    disks,
    ...(writes === undefined ? {} : { writes }),
  }
}
