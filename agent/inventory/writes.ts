/**
 * How much is written to the disks that are replicated, on average since the machine was started: what the kernel has counted, so it is known before the
 * first block is copied.
 * @module
 */
import type { SourceDisk, SourceProperties } from '../../domain/source_server.ts'
import type { SystemFiles } from './system_files.ts'
import { sectorSizeBytes } from '../../domain/units.ts'
import { readDiskStatistics } from '../disk/disk_load.ts'

/** Undefined where the kernel does not tell of every disk that is replicated: files have no such figures. */
export async function readWrites(
  files: SystemFiles,
  disks: readonly SourceDisk[],
): Promise<SourceProperties['writes']> {
  const seconds = Number((await files.readText('/proc/uptime'))?.split(' ')[0])
  const statistics = readDiskStatistics((await files.readText('/proc/diskstats')) ?? '')
  let sectors = 0
  for (const { deviceName, excludedBecause } of disks) {
    if (excludedBecause !== undefined) continue
    const counted = statistics.get((await files.facts(deviceName))?.deviceNumber ?? '')
    if (counted === undefined) return undefined
    sectors += counted.writtenSectors
  }
  return seconds > 0 ? { seconds, bytes: sectors * sectorSizeBytes } : undefined
}
