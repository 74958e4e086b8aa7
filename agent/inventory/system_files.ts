/**
 * Where facts about the machine come from: `/proc`, `/sys`, `/etc`, behind five calls, so that tests feed captured trees.
 * @module
 */
import { constants } from 'node:fs'
import { access, open, readFile, readdir, realpath, stat } from 'node:fs/promises'

/** What a path names. */
export interface PathFacts {
  kind: 'file' | 'block' | 'other'
  sizeBytes: number
  /** `major:minor` of a block device. */
  deviceNumber?: string
}

/** Reads the machine. Nothing here throws for what is missing or unreadable: facts differ from machine to machine. */
export interface SystemFiles {
  /** Text without surrounding white space; undefined when it cannot be read. */
  readText(path: string): Promise<string | undefined>
  /** Names in a folder, sorted; none when it cannot be read. */
  list(path: string): Promise<string[]>
  /** The path with every symbolic link followed; undefined when it does not exist. */
  realPath(path: string): Promise<string | undefined>
  /** What the path names, links followed; undefined when it does not exist. */
  facts(path: string): Promise<PathFacts | undefined>
  /** The inode number of what the path names, links followed; undefined when it does not exist. */
  inode(path: string): Promise<string | undefined>
}

/** Longest file that is read; what the kernel shows of itself is shorter. */
const maxTextBytes = 4 * 1024 * 1024

/** `major:minor` out of `st_rdev`, as glibc packs it. */
export function deviceNumberOf(rdev: number): string {
  const value = BigInt(rdev)
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & ~0xfffn)
  const minor = (value & 0xffn) | ((value >> 12n) & ~0xffn)
  return `${major}:${minor}`
}

/** The result of `attempt`, or undefined when the file system refuses. */
async function orUndefined<T>(attempt: () => Promise<T>): Promise<T | undefined> {
  try {
    return await attempt()
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}

/** The machine this runs on. */
export const machineFiles: SystemFiles = {
  readText: (path) =>
    orUndefined(async () => {
      const text = await readFile(path, 'utf8')
      return text.slice(0, maxTextBytes).trim()
    }),
  list: async (path) => ((await orUndefined(() => readdir(path))) ?? []).sort(),
  realPath: (path) => orUndefined(() => realpath(path)),
  facts: (path) =>
    orUndefined(async () => {
      const found = await stat(path)
      if (found.isFile()) return { kind: 'file', sizeBytes: found.size }
      if (!found.isBlockDevice()) return { kind: 'other', sizeBytes: 0 }
      return {
        kind: 'block',
        ...(await blockDeviceFacts(deviceNumberOf(found.rdev))),
      }
    }),
  inode: (path) => orUndefined(async () => String((await stat(path, { bigint: true })).ino)),
}

/** A block device, by its entry in /sys; its size is 0 when there is none. */
async function blockDeviceFacts(
  deviceNumber: string,
): Promise<Pick<PathFacts, 'sizeBytes' | 'deviceNumber'>> {
  const sectors = await orUndefined(() => readFile(`/sys/dev/block/${deviceNumber}/size`, 'utf8'))
  return { sizeBytes: Number(sectors ?? 0) * 512, deviceNumber }
}

/** Whether this process may read `path`. */
export async function isReadable(path: string): Promise<boolean> {
  return (await orUndefined(() => access(path, constants.R_OK).then(() => true))) ?? false
}

/** Whether this process may open `path` for writing. The file is left as it is. */
export async function isWritable(path: string): Promise<boolean> {
  const handle = await orUndefined(() => open(path, 'r+'))
  await handle?.close()
  return handle !== undefined
}
