/**
 * Free space: asked for before something large is made, so that the operator reads a sentence and not a half-written disk.
 * @module
 */
import { statfs } from 'node:fs/promises'
import { isSystemError } from './files.ts'

/** Bytes that this user may still write on the file system of `folder`. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

/** `bytes` for people: `1.2 GiB`. */
export function humanBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** There is no room; space may be freed, so a retry can help. */
export class NoSpaceError extends Error {
  override name = 'NoSpaceError'
}

/** @throws NoSpaceError when `folder` has less than `neededBytes` free; `what` says what was to be made. */
export async function requireSpace(folder: string, neededBytes: number, what: string): Promise<void> {
  const free = await freeBytes(folder)
  if (free >= neededBytes) return
  throw new NoSpaceError(
    `Cannot ${what}: ${folder} has ${humanBytes(free)} free and ${humanBytes(neededBytes)} are needed; ` +
      'free space there or move REHOST_DATA_DIR to a larger disk',
  )
}

/** Runs `work`, turning the system's bare ENOSPC into a sentence. */
export async function explainNoSpace<T>(folder: string, what: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!isSystemError(error, 'ENOSPC') && !/No space left on device/.test(String(error))) throw error
    throw new NoSpaceError(
      `Cannot ${what}: ${folder} is full (${humanBytes(await freeBytes(folder))} free); ` +
        'free space there or move REHOST_DATA_DIR to a larger disk',
      { cause: error },
    )
  }
}
