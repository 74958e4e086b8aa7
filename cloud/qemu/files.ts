/**
 * Files that survive a crash: written whole or not at all, and flushed to the disk before anyone is told.
 * @module
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import type { z } from 'zod'

/** Whether `error` is the system error `code`, e.g. `ENOENT`. */
export function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/** The answer of `read`, or undefined when there is no such file or folder. Other errors pass. */
export async function unlessMissing<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Makes a folder, and those above it, for this user alone: disks of servers lie below. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
}

/** Flushes a file or a folder (its names) to the disk. */
export async function flush(fileOrFolder: string): Promise<void> {
  const handle = await open(fileOrFolder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A name beside `file` for something unfinished; `removeUnfinished` finds it. */
export function unfinishedName(file: string): string {
  return `${file}.${randomBytes(6).toString('hex')}.unfinished`
}

/** Removes what crashed attempts at `file` left. Only while the thing's lock is held: a living attempt looks the same. */
export async function removeUnfinished(file: string): Promise<void> {
  const folder = path.dirname(file)
  const start = `${path.basename(file)}.`
  for (const name of (await unlessMissing(readdir(folder))) ?? []) {
    if (name.startsWith(start) && name.endsWith('.unfinished'))
      await rm(path.join(folder, name), { force: true })
  }
}

/** Writes `text` so that readers and crashes see the old file or the new one, readable by this user alone. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const unfinished = unfinishedName(file)
  try {
    const handle = await open(unfinished, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(unfinished, file)
    await flush(path.dirname(file))
  } catch (error) {
    await rm(unfinished, { force: true })
    throw new Error(`Cannot write ${file}`, { cause: error })
  }
}

/** Writes a value as JSON, whole. */
export async function writeJson(file: string, value: unknown): Promise<void> {
  await writeWhole(file, `${JSON.stringify(value, undefined, 2)}\n`)
}

/** Reads and checks JSON; undefined when the file is missing. @throws Error naming the file when its content is wrong. */
export async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await unlessMissing(readFile(file, 'utf8'))
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new Error(`Cannot read ${file}; it was written by another version or damaged`, { cause: error })
  }
}

/** Up to `maxBytes` from the end of a file, as text; empty when it is missing. */
export async function readTail(file: string, maxBytes: number): Promise<string> {
  const handle = await unlessMissing(open(file, 'r'))
  if (handle === undefined) return ''
  try {
    const { size } = await handle.stat()
    const length = Math.min(size, maxBytes)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.subarray(0, bytesRead).toString('utf8')
  } finally {
    await handle.close()
  }
}

/** Removes a thing's folder, its metadata last: what a crash leaves is still found with its tags. A no-op when it is gone. */
export async function removeFolder(folder: string, metadataName: string): Promise<void> {
  const names = await unlessMissing(readdir(folder))
  if (names === undefined) return
  for (const name of names) {
    if (name !== metadataName) await rm(path.join(folder, name), { recursive: true, force: true })
  }
  await rm(path.join(folder, metadataName), { force: true })
  await unlessMissing(rmdir(folder))
  await flush(path.dirname(folder))
}
