/**
 * What every part of the memory cloud works with.
 * @module
 */
import { constants } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { MemoryCloud } from './cloud.ts'
import type { MemoryConfig } from './config.ts'

/** Settings, state and the folder of the disks. */
export interface MemoryContext {
  config: MemoryConfig
  cloud: MemoryCloud
}

/** Where the file `name` is; its folder is made. */
export async function fileFor({ config }: MemoryContext, name: string): Promise<string> {
  const folder = path.join(config.dataDir, 'cloud')
  await mkdir(folder, { recursive: true })
  return path.join(folder, name)
}

/** Copies a disk. */
export async function copyDisk(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE)
}
