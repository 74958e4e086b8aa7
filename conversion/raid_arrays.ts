/**
 * The guest's RAID arrays, as the appliance has assembled them.
 * @module
 */
import type { Appliance } from './appliance.ts'
import { isAboutGuest } from './guestfish.ts'
import { mdadmConfigurations, withArrayNames } from './linux/raid.ts'
import type { FileSystem, RaidArray } from './types.ts'

/** An array and the appliance's name of it. */
export interface FoundArray {
  device: string
  /** Undefined where its disks do not tell, as those of an array that is not whole enough to run. */
  array: RaidArray | undefined
}

/** All arrays. */
export async function findArrays(appliance: Appliance): Promise<FoundArray[]> {
  const found: FoundArray[] = []
  for (const device of await appliance.lines('list-md-devices'))
    found.push({ device, array: await describe(appliance, device) })
  return found
}

async function describe(appliance: Appliance, device: string): Promise<RaidArray | undefined> {
  try {
    const lines = await appliance.lines('md-detail', device)
    const value = (name: string): string =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? ''
    return { uuid: value('uuid'), name: value('name') }
  } catch (error) {
    if (isAboutGuest(error)) return undefined
    throw error
  }
}

/** The file systems with the arrays that they are on, whole or on a partition of one. */
export function withArrays(fileSystems: readonly FileSystem[], arrays: readonly FoundArray[]): FileSystem[] {
  return fileSystems.map((own) => {
    const whole = own.device.replace(/(?<=\d)p\d+$/, '')
    const array = arrays.find(({ device }) => device === whole)?.array
    return array === undefined ? own : { ...own, array }
  })
}

/** Tells what the guest, whose root is mounted, calls its arrays. */
export async function nameArrays(appliance: Appliance, fileSystems: FileSystem[]): Promise<FileSystem[]> {
  if (fileSystems.every(({ array }) => array === undefined)) return fileSystems
  const texts: string[] = []
  for (const path of mdadmConfigurations) texts.push((await appliance.text(path)) ?? '')
  return withArrayNames(fileSystems, texts.join('\n'))
}
