/**
 * The disks of this machine as they are known again in another boot, and what a boot loader or firmware may write of them.
 * @module
 */
import type { SystemFiles } from '../inventory/system_files.ts'
import type { TracedDevice } from '../tracking/trace.ts'
import { stableIdOf } from '../inventory/disk_identity.ts'
import { readDisks } from '../inventory/disks.ts'
import { mergesDiscards } from '../tracking/choose.ts'
import { diskIdentity } from '../tracking/disk_identity.ts'
import { parseDeviceNumber } from '../tracking/trace.ts'

/** Sectors of 512 bytes. */
export interface SectorRange {
  firstSector: number
  sectorCount: number
}

/** One disk. */
export interface PresentDisk {
  kernelName: string
  device: TracedDevice
  sizeBytes: number
  /** The same in each boot, and no other disk's here; undefined when nothing names it so. */
  lastingId: string | undefined
  /** See `diskIdentity`: in this boot. */
  diskId: string | undefined
  /** System partitions of the firmware; undefined when nobody can say which there are. */
  firmwareParts: SectorRange[] | undefined
}

/** Kinds of partitions that firmware may write: GPT and MBR. */
const firmwareTypes = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef'])

/** A property that udev found of a device. */
async function udevProperty(files: SystemFiles, device: string, key: string): Promise<string | undefined> {
  const text = await files.readText(`/run/udev/data/b${device}`)
  return text
    ?.split('\n')
    .find((line) => line.startsWith(`E:${key}=`))
    ?.slice(key.length + 3)
}

async function firmwarePartsOf(files: SystemFiles, name: string): Promise<SectorRange[] | undefined> {
  const parts: SectorRange[] = []
  for (const part of await files.list(`/sys/block/${name}`)) {
    const folder = `/sys/block/${name}/${part}`
    if ((await files.readText(`${folder}/partition`)) === undefined) continue
    const device = (await files.readText(`${folder}/dev`)) ?? ''
    const type = await udevProperty(files, device, 'ID_PART_ENTRY_TYPE')
    if (type === undefined) return undefined
    if (!firmwareTypes.has(type.toLowerCase())) continue
    parts.push({
      firstSector: Number((await files.readText(`${folder}/start`)) ?? Number.NaN),
      sectorCount: Number((await files.readText(`${folder}/size`)) ?? Number.NaN),
    })
  }
  return parts.some(({ firstSector, sectorCount }) => Number.isNaN(firstSector + sectorCount))
    ? undefined
    : parts
}

/** What names a disk in each boot: its own name for good, else that of its table of partitions. */
async function lastingIdOf(files: SystemFiles, name: string, device: string): Promise<string | undefined> {
  const stableId = await stableIdOf(files, name, '')
  if (stableId !== '') return `disk ${stableId}`
  const table = await udevProperty(files, device, 'ID_PART_TABLE_UUID')
  return table === undefined ? undefined : `table ${table}`
}

/** All disks of the machine. */
export async function readPresentDisks(files: SystemFiles): Promise<PresentDisk[]> {
  const disks: PresentDisk[] = []
  for (const { kernelName, deviceName, sizeBytes } of await readDisks(files, undefined)) {
    const number = await files.readText(`/sys/block/${kernelName}/dev`)
    if (number === undefined) continue
    disks.push({
      kernelName,
      device: { ...parseDeviceNumber(number), mergesDiscards: await mergesDiscards(files, number) },
      sizeBytes,
      lastingId: await lastingIdOf(files, kernelName, number),
      diskId: await diskIdentity(files, number, deviceName),
      firmwareParts: await firmwarePartsOf(files, kernelName),
    })
  }
  // Two disks of one name, such as a copy of a disk beside it: then neither is known.
  return disks.map((disk) => {
    const isAlone = disks.filter(({ lastingId }) => lastingId === disk.lastingId).length === 1
    return isAlone ? disk : { ...disk, lastingId: undefined }
  })
}
